import type { Clock } from '#shared/clock.ts'
import { toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { SessionStore } from '#shared/store/session-store.ts'
import type { LiveSession } from '../session/live-session.ts'

export interface HandOverDeps {
  clock: Clock
  log: Log
  sessions: Pick<SessionStore, 'get'>
  live: ReadonlyMap<SessionKey, LiveSession>
  epochOf: (key: SessionKey) => number
  /** Somebody else could take sessions. */
  hasSuccessor: () => boolean
  wake: (key: SessionKey) => void
}

export interface DrainSummary {
  sessions: number
  /** Sessions that could not be handed over in order. */
  left: number
  durationMs: number
}

/**
 * How many sessions are without a socket at once. A successor logs some fifty sessions in a second on one core, so more
 * at once would only wait in its queue, without a socket all that time.
 */
const AT_ONCE = 8
/** DESIGN's figures: 500 sessions in less than 8 s; Cloud Run kills 10 s after SIGTERM. Then the rest goes at once. */
const PACED_MS = 6_000
/** A session whose successor has not connected by then makes room all the same. */
const SLOT_MS = 400
const LOOK_MS = 15

/**
 * Decides which sessions leave this runner, and when. A drain hands all of them over, the quiet ones first, a few at a time,
 * each only once the one before it is connected elsewhere, so that none is without a socket for long. Without anybody to
 * take them, all go at once.
 */
export class HandOver {
  readonly #deps: HandOverDeps
  readonly #leaving = new Set<SessionKey>()

  constructor(deps: HandOverDeps) {
    this.#deps = deps
  }

  isLeaving(key: SessionKey): boolean {
    return this.#leaving.has(key)
  }

  /** One session, for a rebalance. Resolves when it is gone from here. */
  async give(key: SessionKey): Promise<void> {
    this.#leaving.add(key)
    await this.#untilConnectedElsewhere(key, SLOT_MS)
    this.#leaving.delete(key)
  }

  /** All of them; `mayGoOn` turns false when the lease is lost. Resolves when nothing is live here any more. */
  async drain(mayGoOn: () => boolean): Promise<DrainSummary> {
    const { clock, live, hasSuccessor } = this.#deps
    const startMs = clock.monotonicMs()
    const keys = [...live.values()]
      .toSorted((a, b) => (a.lastActivityAt ?? 0) - (b.lastActivityAt ?? 0))
      .map((session) => session.key)
    // One place more for every hundred sessions keeps 500 within the time that is given.
    const atOnce = hasSuccessor() ? AT_ONCE + Math.floor(keys.length / 100) * AT_ONCE : keys.length
    let next = 0
    const slot = async (): Promise<void> => {
      for (let key = keys[next++]; key !== undefined && mayGoOn(); key = keys[next++]) {
        this.#leaving.add(key)
        const leftMs = PACED_MS - (clock.monotonicMs() - startMs)
        await this.#untilConnectedElsewhere(key, hasSuccessor() ? Math.max(0, Math.min(SLOT_MS, leftMs)) : 0)
      }
    }
    await Promise.all(Array.from({ length: Math.min(atOnce, keys.length) }, slot))
    while (live.size > 0 && mayGoOn()) {
      // Whatever was claimed in between goes too.
      for (const key of live.keys()) this.#leave(key)
      await clock.sleep(LOOK_MS)
    }
    return { sessions: keys.length, left: live.size, durationMs: Math.round(clock.monotonicMs() - startMs) }
  }

  #leave(key: SessionKey): void {
    this.#leaving.add(key)
    this.#deps.wake(key)
  }

  async #untilConnectedElsewhere(key: SessionKey, withinMs: number): Promise<void> {
    const { clock, live, sessions, epochOf, log } = this.#deps
    const wasConnected = live.get(key)?.socketIs === 'open'
    const epoch = epochOf(key)
    this.#leave(key)
    const untilMs = clock.monotonicMs() + withinMs
    while (live.has(key) && clock.monotonicMs() < untilMs + SLOT_MS) await clock.sleep(LOOK_MS)
    while (wasConnected && clock.monotonicMs() < untilMs) {
      try {
        const status = (await sessions.get(key))?.status
        if (status && status.epoch > epoch && status.phase === 'connected') return
      } catch (error) {
        log.debug({ error: toError(error), sessionId: key }, 'the successor could not be looked at')
      }
      await clock.sleep(LOOK_MS)
    }
  }
}
