import { isIP } from 'node:net'
import { Agent, buildConnector, type Dispatcher } from 'undici'
import { CodedError } from '#shared/errors.ts'
import { forSockets, lookUpByMachine, lookUpByServers, type LookUp } from './look-up.ts'
import { mayConnect } from './public-address.ts'

/**
 * The one way to an address that a tenant names: webhooks, media by URL, the host of a proxy. An address is judged when
 * it is registered (`judge`) and again with every connection; a name is looked up once for that, and the socket goes to
 * what was judged, so a name server that answers otherwise the next time gains nothing. Redirects are not followed.
 *
 * It does not guarantee that an address stays with whom it belongs to, nor that a public host does not pass on what it
 * gets; and an idle connection that was judged when it was opened is used again for some seconds.
 */
export interface GuardedConnector {
  /**
   * What an address comes to now. To keep to it, connect to one of `addresses`, not to the name.
   * @throws CodedError `address_not_allowed` (never will be), `address_unknown` (not now)
   */
  judge(address: string, use: Use): Promise<JudgedAddress>
  /**
   * One request, and what `read` makes of its answer; when that is done the rest of the answer is dropped. It may have
   * arrived although it failed, so a repeat is as harmless as the receiver makes it.
   * @throws CodedError `address_not_allowed`, `address_unknown`, `no_answer`; the body also `answer_too_large`; what
   *   `read` throws; the reason of `signal`
   */
  request<T>(
    address: string,
    request: GuardedRequest,
    read: (answer: GuardedAnswer) => Promise<T>,
  ): Promise<T>
  /** Ends every connection. */
  close(): Promise<void>
}

/** `web`: http(s) without credentials. `proxy`: http(s) and socks5, with or without. */
type Use = 'web' | 'proxy'

interface JudgedAddress {
  url: URL
  host: string
  port: number
  /** IP addresses, at least one, each of them allowed. */
  addresses: string[]
}

export interface GuardedRequest {
  method: 'GET' | 'POST'
  headers: Record<string, string>
  body?: Uint8Array | string
  /** For all of it: look-up, connection, headers, the last byte of the body. */
  timeoutMs: number
  /** More than this of a body is `answer_too_large`. */
  answerBytesMax: number
  signal?: AbortSignal
}

export interface GuardedAnswer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: AsyncIterable<Uint8Array>
}

const PORTS: Record<Use, Record<string, number>> = {
  web: { 'http:': 80, 'https:': 443 },
  // 1080 is the port of SOCKS: RFC 1928 §3.
  proxy: {
    'http:': 80,
    'https:': 443,
    'socks5:': 1080,
    'socks5h:': 1080,
  },
}
/** What browsers and servers take without complaint; longer ones only cost room in every record. */
const ADDRESS_CHARACTERS_MAX = 2_048
/** A name with thousands of addresses is no reason to try them all. */
const ADDRESSES_MAX = 16
const CONNECT_WITHIN_MS = 10_000
/** Node's own limit, said here so that a flag of the process does not lift it: --max-http-header-size. */
const HEADER_BYTES_MAX = 16 * 1024

/** `allowPrivate` is for one machine and for tests: `MOORING_ALLOW_PRIVATE_ADDRESSES`. */
export function guardedConnector(options: { allowPrivate: boolean; lookUp?: LookUp }): GuardedConnector {
  const { allowPrivate, lookUp = allowPrivate ? lookUpByMachine : lookUpByServers() } = options

  async function allowedAddresses(host: string): Promise<string[]> {
    const addresses = isIP(host) ? [host] : await lookUp(host)
    // One that is not allowed among others is no accident, so it spoils them all.
    if (!addresses.every((address) => mayConnect(address, allowPrivate))) {
      throw refused('it does not lead to a public address')
    }
    return addresses.slice(0, ADDRESSES_MAX)
  }

  // The name stays what it is for TLS: server name and certificate are those of the name, not of the number.
  const connect = buildConnector({
    allowH2: false,
    timeout: CONNECT_WITHIN_MS,
    lookup: forSockets(allowedAddresses),
  })
  const agent = new Agent({
    allowH2: false,
    maxHeaderSize: HEADER_BYTES_MAX,
    connect: (to, done) => {
      // Node looks no number up, so it would pass by unseen.
      const host = bare(to.hostname)
      if (isIP(host) && !mayConnect(host, allowPrivate)) {
        done(refused('it does not lead to a public address'), null)
      } else connect(to, done)
    },
  })

  return {
    async judge(address, use) {
      const { url, host, port } = readAddress(address, use)
      return { url, host, port, addresses: await allowedAddresses(host) }
    },

    async request(address, request, read) {
      const { url } = readAddress(address, 'web')
      const deadline = AbortSignal.timeout(request.timeoutMs)
      const signal = request.signal ? AbortSignal.any([deadline, request.signal]) : deadline
      const failed = (cause: unknown): unknown => {
        if (request.signal?.aborted) return request.signal.reason
        if (cause instanceof CodedError) return cause
        const what = deadline.aborted ? 'did not answer in time' : 'could not be reached or broke off'
        return new CodedError('no_answer', `the server at that address ${what}`, { cause })
      }
      const { statusCode, headers, body } = await agent
        .request({
          origin: url.origin,
          path: url.pathname + url.search,
          method: request.method,
          headers: { 'accept-encoding': 'identity', ...request.headers },
          body: request.body ?? null,
          // Both are within the one deadline; undici's own would be later, and less exact.
          headersTimeout: 0,
          bodyTimeout: 0,
          signal,
        })
        .catch((cause: unknown) => {
          throw failed(cause)
        })
      // Whoever reads it learns of its end; when nobody does it must not be an unhandled error.
      body.on('error', () => {})
      try {
        return await read({
          status: statusCode,
          headers,
          body: bounded(body, request.answerBytesMax, failed),
        })
      } finally {
        body.destroy()
      }
    },

    close: () => agent.destroy(),
  }
}

/** The first bytes of a body, at most so many; the rest is not read. @throws what the body throws */
export async function firstBytes(body: AsyncIterable<Uint8Array>, max: number): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of body) {
    parts.push(part)
    bytes += part.length
    if (bytes >= max) break
  }
  return Buffer.concat(parts).subarray(0, max)
}

/** Scheme, length and credentials, without asking anybody. What was given is not repeated: it may hold a password. */
function readAddress(address: string, use: Use): { url: URL; host: string; port: number } {
  if (address.length > ADDRESS_CHARACTERS_MAX)
    throw refused(`it is longer than ${ADDRESS_CHARACTERS_MAX} characters`)
  const url = URL.parse(address)
  if (!url) throw refused('it is no address')
  const byDefault = PORTS[use][url.protocol]
  if (byDefault === undefined) {
    throw refused(
      `it must begin with ${use === 'web' ? 'https:// or http://' : 'http://, https:// or socks5://'}`,
    )
  }
  if (use === 'web' && (url.username !== '' || url.password !== ''))
    throw refused('it must not hold credentials')
  // Only the host of an http address is read as what it is; 0x7f000001 behind socks:// would stay a name.
  const read = URL.parse(`http://${url.host}`)
  if (!read || read.hostname === '') throw refused('it names no host')
  const port = url.port === '' ? byDefault : Number(url.port)
  if (port === 0) throw refused('it names no port')
  return { url, host: bare(read.hostname), port }
}

/** An IPv6 address without its brackets. */
const bare = (hostname: string): string => (hostname.startsWith('[') ? hostname.slice(1, -1) : hostname)

async function* bounded(
  body: Dispatcher.ResponseData['body'],
  max: number,
  failed: (cause: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  let bytes = 0
  try {
    for await (const part of body as AsyncIterable<Uint8Array>) {
      bytes += part.length
      if (bytes > max) throw new CodedError('answer_too_large', `an answer of more than ${max} bytes`)
      yield part
    }
  } catch (cause) {
    throw failed(cause)
  }
}

const refused = (why: string): CodedError => new CodedError('address_not_allowed', `that address: ${why}`)
