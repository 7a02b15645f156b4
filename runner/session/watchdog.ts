import type { Clock } from '#shared/clock.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { OpenConnection } from './connection.ts'
import type { LiveSession } from './live-session.ts'
import type { SocketHealth } from '../whatsapp/socket.ts'

export interface WatchdogTimes {
  lookEveryMs: number
  /** From the start of a connection to open, a QR, or a close (docs/facts/baileys.md §8). */
  connectMs: number
  /** Without any frame while open: three missed pings. */
  silenceMs: number
  /** Logged in, but never open. */
  loginMs: number
  /** A receive or send path that does not move. */
  stuckMs: number
  /** Messages came, and none of them gets as far as decryption. */
  undeliveredMs: number
  /** A message of the protocol's own (a history) may be worked on for so long, while nothing else moves. */
  historyMs: number
}

/** The thresholds of docs/facts/baileys.md §8; `silenceMs` is three keep-alive periods of 30 s. */
export const WATCHDOG_TIMES: WatchdogTimes = {
  lookEveryMs: 5_000,
  connectMs: 45_000,
  silenceMs: 90_000,
  loginMs: 75_000,
  stuckMs: 60_000,
  undeliveredMs: 300_000,
  historyMs: 600_000,
}

/** What a watchdog sees of a session, and the one thing that it does. */
export type Watched = Pick<LiveSession, 'key' | 'connection' | 'pairing' | 'giveUpConnection'>

interface WatchdogDeps {
  clock: Clock
  log: Log
  live: ReadonlyMap<SessionKey, Watched>
  times: WatchdogTimes
}

/**
 * Ends connections that the library would leave hanging. It judges by facts of the transport only: a session without
 * messages is a quiet session, not a sick one. One timer for all sessions.
 */
export class Watchdog {
  readonly #deps: WatchdogDeps
  #cancel: (() => void) | undefined
  readonly #probing = new Set<Watched>()
  #lastProbeMs = 0

  constructor(deps: WatchdogDeps) {
    this.#deps = deps
  }

  start(): void {
    const { clock, times } = this.#deps
    this.#cancel = clock.after(times.lookEveryMs, () => {
      this.look()
      this.start()
    })
  }

  stop(): void {
    this.#cancel?.()
  }

  /** One look at every connection. */
  look(): void {
    const { clock, live, times } = this.#deps
    const nowMs = clock.monotonicMs()
    const probes = nowMs - this.#lastProbeMs >= times.stuckMs
    if (probes) this.#lastProbeMs = nowMs
    for (const session of live.values()) {
      const why = this.#whatIsWrong(session, nowMs)
      if (why) this.#end(session, why)
      else if (probes && session.connection.is === 'open') void this.#probe(session, session.connection)
    }
  }

  #whatIsWrong(session: Watched, nowMs: number): string | undefined {
    const { times } = this.#deps
    const { connection, pairing } = session
    if (connection.is === 'none') return undefined
    const health = connection.socket.health()
    if (connection.is === 'open') {
      if (nowMs - health.lastFrameMs > times.silenceMs) return 'no frame for too long'
      const idleSinceMs = health.messagesIdleSinceMs ?? nowMs
      const isDeaf = nowMs - idleSinceMs > times.undeliveredMs && !this.#worksOnHistory(health, nowMs)
      return isDeaf ? 'messages come, and nothing becomes of them' : undefined
    }
    if (pairing.shown?.qr || pairing.shown?.code)
      return nowMs - health.lastFrameMs > times.silenceMs ? 'no frame for too long' : undefined
    if (health.loggedInAtMs !== undefined)
      return nowMs - health.loggedInAtMs > times.loginMs ? 'logged in but never open' : undefined
    return nowMs - connection.begunMs > times.connectMs ? 'no answer while connecting' : undefined
  }

  /** Nothing is received before it is done with. */
  #worksOnHistory({ peerMessageSinceMs }: SocketHealth, nowMs: number): boolean {
    return peerMessageSinceMs !== undefined && nowMs - peerMessageSinceMs <= this.#deps.times.historyMs
  }

  async #probe(session: Watched, { socket }: OpenConnection): Promise<void> {
    if (this.#probing.has(session)) return
    this.#probing.add(session)
    const moves = await socket.probe(this.#deps.times.stuckMs)
    this.#probing.delete(session)
    const { connection } = session
    if (moves || connection.is === 'none' || connection.socket !== socket) return
    if (!this.#worksOnHistory(socket.health(), this.#deps.clock.monotonicMs()))
      this.#end(session, 'its receive or send path is stuck')
  }

  #end(session: Watched, why: string): void {
    this.#deps.log.warn({ sessionId: session.key, why }, 'watchdog ends a connection')
    session.giveUpConnection(why)
  }
}
