import { lookup } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { isIPv6, type LookupFunction } from 'node:net'
import { CodedError } from '#shared/errors.ts'

/** Every IP address of a name. @throws CodedError `address_unknown` */
export type LookUp = (host: string) => Promise<string[]>

/** The same in the form that sockets ask in. */
export const forSockets =
  (lookUp: LookUp): LookupFunction =>
  (host, { all }, done) => {
    lookUp(host).then(
      (found) => {
        const answers = found.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }))
        const [first] = answers
        if (all || first === undefined) done(null, answers)
        else done(null, first.address, first.family)
      },
      (error: Error) => done(error, []),
    )
  }

/** One question to one name server, of which there are two; the whole look-up has ended after 5 s, whatever they do. */
const TRY_MS = 2_000
const LOOK_UP_WITHIN_MS = 5_000

/**
 * The name servers alone, without a thread of libuv's pool: the system's own look-up holds one for as long as a tenant's
 * name server pleases, there are four, and files are written by them too. `servers` are those of the system by default.
 */
export function lookUpByServers(options: { servers?: string[]; withinMs?: number } = {}): LookUp {
  return async (host) => {
    const resolver = new Resolver({ timeout: TRY_MS, tries: 2 })
    if (options.servers) resolver.setServers(options.servers)
    const cut = setTimeout(() => resolver.cancel(), options.withinMs ?? LOOK_UP_WITHIN_MS)
    try {
      const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
      const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
      if (addresses.length > 0) return addresses
      throw unknown(answers.find((answer) => answer.status === 'rejected')?.reason)
    } finally {
      clearTimeout(cut)
    }
  }
}

/** As this machine looks names up, with its own file of hosts: for `localhost` and its like, where they are allowed. */
export const lookUpByMachine: LookUp = (host) =>
  new Promise((resolve, reject) => {
    // The thread goes on waiting; whoever asked does not.
    const cut = setTimeout(() => reject(unknown(undefined)), LOOK_UP_WITHIN_MS)
    lookup(host, { all: true }, (error, answers) => {
      clearTimeout(cut)
      if (error === null && answers.length > 0) resolve(answers.map(({ address }) => address))
      else reject(unknown(error))
    })
  })

const unknown = (cause: unknown): CodedError =>
  new CodedError('address_unknown', 'the name of that address was not found', { cause })
