import { EventEmitter, once } from 'node:events'
import type { ClientRequest } from 'node:http'
import type { Duplex } from 'node:stream'
import { Agent, type AgentConnectOpts } from 'agent-base'
import type { Dispatcher } from 'undici'
import type { Clock } from '#shared/clock.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { GuardedConnector } from '#shared/net/guarded-connector.ts'
import { forSockets } from '#shared/net/look-up.ts'
import { handedToLibrary } from '#shared/process.ts'
import { shownProxy } from '#shared/proxy-url.ts'
import type { AgeIdentity } from '#shared/sealing/age-identity.ts'
import { openProxy, shownOf } from '#shared/sealing/proxy.ts'
import type { Want } from '#shared/session.ts'
import { untilAborted } from '#shared/until-aborted.ts'
import { SealedForAnother, TunnelRefused, whyProxyFailed, type ProxyFailure } from './proxy-failure.ts'

/**
 * The way of one connection to WhatsApp through a proxy: the WebSocket, what is uploaded, and what is downloaded, for which
 * Baileys has an option each (docs/facts/baileys.md §7). Whatever goes wrong (the address is sealed for another runner, leads
 * where it must not, refuses, hangs) ends in an error of the connection; nothing falls back to the way without it.
 */
export interface ProxyLine {
  readonly options: { agent: Agent; fetchAgent: Agent; options: RequestInit }
  /** Set when the WebSocket did not come about, and the proxy is to blame. */
  readonly failure: ProxyFailure | undefined
  /** Ends what is on its way through it, but the WebSocket, which has an end of its own. */
  close(): void
}

/** The way of a session, by its want, or the fleet's; `undefined` where there is none to go by. */
export type Proxies = (key: SessionKey, wanted: Want['proxy']) => ProxyLine | undefined

interface ProxyDeps {
  clock: Clock
  /** Of addresses that tenants name. */
  guard: Pick<GuardedConnector, 'judge'>
  /** Of the operator's own, which may well be in a private network. */
  operatorsGuard: Pick<GuardedConnector, 'judge'>
  identities: () => Promise<readonly AgeIdentity[]>
  /** For sessions that want none of their own. */
  fleet: string | undefined
  /** For a connection through the proxy, from the look-up of its name on. */
  withinMs: number
}

/** Downloads carry no limit of their own: a server that has gone silent in the middle must not hold them. */
const SILENT_DOWNLOAD_MS = 30_000

export function proxies(deps: ProxyDeps): Proxies {
  const { guard, operatorsGuard, identities, fleet } = deps
  return (key, wanted) => {
    if (wanted) {
      const address = async (): Promise<string> => {
        try {
          return await openProxy(wanted, await identities(), key)
        } catch {
          throw new SealedForAnother()
        }
      }
      return new Line(deps, { guard, shown: shownOf(wanted), address })
    }
    if (fleet === undefined) return undefined
    return new Line(deps, { guard: operatorsGuard, shown: shownProxy(fleet), address: async () => fleet })
  }
}

interface Way {
  guard: ProxyDeps['guard']
  shown: string
  address: () => Promise<string>
}

class Line implements ProxyLine {
  readonly options: ProxyLine['options']
  failure: ProxyFailure | undefined
  readonly #deps: ProxyDeps
  readonly #way: Way
  readonly #closed = new AbortController()
  #downloads: Promise<Dispatcher> | undefined

  constructor(deps: ProxyDeps, way: Way) {
    this.#deps = deps
    this.#way = way
    const tunnel = (request: ClientRequest, to: AgentConnectOpts): Promise<Duplex> =>
      this.#tunnel(request, to)
    this.options = {
      agent: new TunnelAgent((request, to) =>
        tunnel(request, to).catch((error: unknown) => {
          this.failure = { proxy: way.shown, why: whyProxyFailed(error) }
          throw this.#told(error)
        }),
      ),
      fetchAgent: new TunnelAgent((request, to) =>
        tunnel(request, to).catch((error: unknown) => {
          throw this.#told(error)
        }),
      ),
      // Loaded with the first download; `fetch` asks of it nothing but this.
      options: { dispatcher: { dispatch: this.#dispatch } } as RequestInit,
    }
  }

  close(): void {
    this.#closed.abort()
    void this.#downloads?.then((dispatcher) => dispatcher.destroy()).catch(() => undefined)
  }

  /** What a library threw stays here: only words of ours go on. */
  #told(error: unknown): Error {
    return handedToLibrary(new Error(`the proxy ${this.#way.shown} ${whyProxyFailed(error)}`))
  }

  /** A connection to where `to` says, through the proxy; its name is looked up and judged anew for each. */
  async #tunnel(request: ClientRequest, to: AgentConnectOpts): Promise<Duplex> {
    const { guard, address } = this.#way
    const attempt = new AbortController()
    const abort = (): void => attempt.abort()
    const cancel = this.#deps.clock.after(this.#deps.withinMs, abort)
    this.#closed.signal.addEventListener('abort', abort, { once: true })
    try {
      this.#closed.signal.throwIfAborted()
      const url = new URL(await address())
      const { addresses } = await untilAborted(attempt.signal, guard.judge(url.href, 'proxy'))
      const opened = openThrough(url, addresses, { request, to, signal: attempt.signal })
      // One that comes too late belongs to nobody.
      opened.then((socket) => attempt.signal.aborted && socket.destroy()).catch(() => undefined)
      return await untilAborted(attempt.signal, opened)
    } finally {
      cancel()
      this.#closed.signal.removeEventListener('abort', abort)
    }
  }

  readonly #dispatch = (
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler & { onError?: (error: Error) => void },
  ): boolean => {
    this.#downloads ??= this.#openDownloads()
    this.#downloads.then(
      (dispatcher) => dispatcher.dispatch(options, handler),
      (error: Error) => handler.onError?.(error),
    )
    return true
  }

  async #openDownloads(): Promise<Dispatcher> {
    const { Agent, Dispatcher1Wrapper } = await import('undici')
    const agent = new Agent({
      allowH2: false,
      headersTimeout: SILENT_DOWNLOAD_MS,
      bodyTimeout: SILENT_DOWNLOAD_MS,
      connect: ({ protocol, hostname, port, servername }, done) => {
        const secure = protocol === 'https:'
        const to = { host: hostname, port: Number(port) || (secure ? 443 : 80), secureEndpoint: secure }
        const names = secure ? { servername: servername ?? hostname, ALPNProtocols: ['http/1.1'] } : {}
        this.#download({ ...to, ...names }).then(
          (socket) => done(null, socket as never),
          (error: unknown) => done(this.#told(error), null),
        )
      },
    })
    // The `fetch` of Node 24 is of an undici that calls its dispatcher otherwise than this one wants to be called.
    return new Dispatcher1Wrapper(agent)
  }

  /** The libraries want a request to tell of what they do; a download has none of that kind. */
  async #download(to: AgentConnectOpts): Promise<Duplex> {
    const request = Object.assign(new EventEmitter(), { destroy: () => undefined })
    const socket = await this.#tunnel(request as unknown as ClientRequest, to)
    request.emit('socket', socket)
    if (to.secureEndpoint) await once(socket, 'secureConnect')
    return socket
  }
}

/** `agent-base` knows how Node wants to be given a connection that takes its time. */
class TunnelAgent extends Agent {
  readonly #open: (request: ClientRequest, to: AgentConnectOpts) => Promise<Duplex>

  constructor(open: (request: ClientRequest, to: AgentConnectOpts) => Promise<Duplex>) {
    super()
    this.#open = open
  }

  override connect(request: ClientRequest, to: AgentConnectOpts): Promise<Duplex> {
    return this.#open(request, to)
  }
}

/** One connection by the library for this kind of proxy, pinned to addresses that were judged. */
async function openThrough(
  url: URL,
  addresses: string[],
  ask: { request: ClientRequest; to: AgentConnectOpts; signal: AbortSignal },
): Promise<Duplex> {
  const { request, to, signal } = ask
  const lookup = forSockets(async () => addresses)
  if (url.protocol.startsWith('socks')) {
    const { SocksProxyAgent } = await import('socks-proxy-agent')
    // `socks5h`: WhatsApp's name is looked up by the proxy too.
    url = new URL(url.href.replace(/^socks5h?:/, 'socks5h:'))
    return new SocksProxyAgent(url, { socketOptions: { lookup } }).connect(request, to)
  }
  const { HttpsProxyAgent } = await import('https-proxy-agent')
  const agent = new HttpsProxyAgent(url, { lookup, signal })
  let status = 200
  agent.on('proxyConnect', (answer: { statusCode: number }) => (status = answer.statusCode))
  const socket = await agent.connect(request, to)
  if (status === 200) return socket
  // What the library makes of it is an answer of WhatsApp's.
  socket.destroy()
  throw new TunnelRefused(status)
}
