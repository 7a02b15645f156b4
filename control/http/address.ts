import type { HttpBindings } from '@hono/node-server'
import ipaddr from 'ipaddr.js'
import type { ControlContext } from './context.ts'

/** Whoever has an IPv6 connection has at least this many leading bits to himself (RFC 6177), and every address below them. */
const IPV6_BITS = 64

/**
 * Where a request comes from, as something to count by: an IPv4 address, or the network of an IPv6 one. With `proxies` in front
 * it is what the outermost of ours noted in X-Forwarded-For; what stands before that in the header, anybody may have written.
 */
export function addressOf(c: ControlContext, proxies: number): string {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>
  const noted = c.req.header('x-forwarded-for')?.split(',').at(-proxies)?.trim()
  const text =
    proxies > 0 && noted !== undefined && ipaddr.isValid(noted) ? noted : incoming?.socket.remoteAddress
  if (text === undefined || !ipaddr.isValid(text)) return 'unknown'
  const address = ipaddr.process(text)
  if (address.kind() === 'ipv4') return address.toString()
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${address.toString()}/${IPV6_BITS}`)
  return `${network.toString()}/${IPV6_BITS}`
}
