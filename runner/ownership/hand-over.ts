import type { Clock } from '#shared/clock.ts'
import { toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { SessionStore } from '#shared/store/session-store.ts'
import { within } from '#shared/within.ts'
import type { SessionView } from '../session/session-view.ts'

export interface HandOverDeps {
  clock: Clock
  log: Log
  sessions: Pick<SessionStore, 'get'>
  live: ReadonlyMap<SessionKey, Pick<SessionView, 'key' | 'connection' | 'lastActivityAt'>>
  epochOf: (key: SessionKey) => number
  /** Somebody else could take sessions. */
  hasSuccessor: () => boolean
  /** A claim is under way: what it wins has to go as well. */
  isClaiming: () => boolean
  wake: (key: SessionKey) => void
  /** Ends what the session waits for, where that can be ended. */
  interrupt: (key: SessionKey) => void
}

export interface DrainSummary {
  sessions: number
  /** Sessions that could not be handed over in order. */
  left: number
  durationMs: number
}

/**
 * How many sessions are without a socket at once, at least. A successor logs some fifty sessions in a second on one core:
 * more at once would only wait in its queue, without a socket all that time; one alone would leave the processors idle
 * while it waits for the disk. More are let go when the time gets short.
 */
const AT_ONCE = 2
/** What one hand-over is taken to need before the first has shown it. */
const FIRST_GUESS_MS = 60
/**
 * 500 sessions in less than 8 s (docs/design/promises.md §11); Cloud Run kills 10 s after SIGTERM. Then the rest goes at
 * once.
 */
const PACED_MS = 6_000
/**
 * The time that successors get to rehydrate ahead before the first session leaves; all are connected meanwhile. A state takes some
 * 4 ms of a processor (measured, 812 pre-keys), and they may begin with sixty.
 */
const LEAD_MS = 250
/**
 * A session whose successor has not connected by then makes room all the same. Longer than a login takes on a machine that is
 * busy (up to 0.4 s, measured): room that is made too early makes it busier.
 */
const SLOT_MS = 800
/** Many times what a hand-over takes (tens of milliseconds): what has not left by then waits for something that hangs. */
const INTERRUPT_AFTER_MS = 500
const LOOK_MS = 15
/** A look into the store is a call that may be billed, and takes the successor's turn there: the next one comes later. */
const LOOK_GROWTH = 1.5
const LOOK_MAX_MS = 150

/**
 * Decides which sessions leave this runner, and when. A drain hands all of them over, the quiet ones first, a few at a time,
 * each only once the one before it is connected elsewhere, so that none is without a socket for long. Without anybody to
 * take them, all go at once.
 */
export class HandOver {
  readonly #deps: HandOverDeps
  readonly #leaving = new Set<SessionKey>()
  /** Of a drain: those that wait for their turn. Everything else has to go at once, also what comes up after it. */
  #drained: ReadonlySet<SessionKey> | undefined

  constructor(deps: HandOverDeps) {
    this.#deps = deps
  }

  isLeaving(key: SessionKey): boolean {
    return this.#leaving.has(key) || (this.#drained !== undefined && !this.#drained.has(key))
  }

  /** One session, for a rebalance. Resolves when it is gone from here. */
  async give(key: SessionKey): Promise<void> {
    this.#leaving.add(key)
    await this.#untilConnectedElsewhere(key, SLOT_MS)
    this.#leaving.delete(key)
  }

  /**
   * All of them; `mayGoOn` turns false when the lease is lost, or the drain is taken back. Resolves when nothing is live here
   * any more, or about to be, when it may not go on, or after `withinMs`: what is left then waits for something that hangs.
   */
  async drain(mayGoOn: () => boolean, withinMs: number): Promise<DrainSummary> {
    const { clock, live } = this.#deps
    const startMs = clock.monotonicMs()
    const sessions = live.size
    const isInTime = (): boolean => clock.monotonicMs() < startMs + withinMs
    const ended = await within(
      clock,
      withinMs,
      this.#drainAll(() => mayGoOn() && isInTime()),
    )
    // Those whose turn never came.
    if (!ended && mayGoOn()) for (const key of live.keys()) this.#leave(key)
    return { sessions, left: live.size, durationMs: Math.round(clock.monotonicMs() - startMs) }
  }

  async #drainAll(mayGoOn: () => boolean): Promise<void> {
    const { clock, live, hasSuccessor, isClaiming, interrupt } = this.#deps
    const startMs = clock.monotonicMs()
    if (live.size > 0 && hasSuccessor()) await clock.sleep(LEAD_MS)
    const keys = [...live.values()]
      .toSorted((a, b) => (a.lastActivityAt ?? 0) - (b.lastActivityAt ?? 0))
      .map((session) => session.key)
    this.#drained = new Set(keys)
    const underWay = new Set<Promise<void>>()
    let needsMs = FIRST_GUESS_MS
    for (const [at, key] of keys.entries()) {
      if (!mayGoOn()) break
      const leftMs = Math.max(1, PACED_MS - (clock.monotonicMs() - startMs))
      const inTime = Math.ceil(((keys.length - at) * needsMs) / leftMs)
      const atOnce = hasSuccessor() ? Math.max(AT_ONCE, inTime) : keys.length
      while (underWay.size >= atOnce) await Promise.race(underWay)
      const beganMs = clock.monotonicMs()
      const cancel = clock.after(INTERRUPT_AFTER_MS, () => {
        if (live.has(key) && mayGoOn()) interrupt(key)
      })
      const one = this.#untilConnectedElsewhere(key, hasSuccessor() ? Math.min(SLOT_MS, leftMs) : 0).then(
        () => {
          cancel()
          underWay.delete(one)
          needsMs = (needsMs * 7 + (clock.monotonicMs() - beganMs)) / 8
        },
      )
      underWay.add(one)
    }
    await Promise.all(underWay)
    while ((live.size > 0 || isClaiming()) && mayGoOn()) {
      // Whatever was claimed in between goes too.
      for (const key of live.keys()) this.#leave(key)
      await clock.sleep(LOOK_MS)
    }
  }

  /** Ends a drain that was taken back: what is still here stays. */
  stay(): void {
    this.#drained = undefined
    this.#leaving.clear()
  }

  #leave(key: SessionKey): void {
    this.#leaving.add(key)
    this.#deps.wake(key)
  }

  async #untilConnectedElsewhere(key: SessionKey, withinMs: number): Promise<void> {
    const { clock, live, epochOf } = this.#deps
    const wasConnected = live.get(key)?.connection.is === 'open'
    const epoch = epochOf(key)
    this.#leave(key)
    const untilMs = clock.monotonicMs() + withinMs
    while (live.has(key) && clock.monotonicMs() < untilMs + SLOT_MS) await clock.sleep(LOOK_MS)
    if (!wasConnected) return
    for (let lookMs = LOOK_MS; clock.monotonicMs() < untilMs;) {
      // A watch tells of the claim; before it there is nothing to ask for.
      if (epochOf(key) > epoch) {
        let isThere = false
        const look = this.#isConnectedAfter(key, epoch).then((answer) => (isThere = answer))
        await within(clock, untilMs - clock.monotonicMs(), look)
        if (isThere) return
      }
      await clock.sleep(lookMs)
      if (epochOf(key) > epoch) lookMs = Math.min(lookMs * LOOK_GROWTH, LOOK_MAX_MS)
    }
  }

  async #isConnectedAfter(key: SessionKey, epoch: number): Promise<boolean> {
    const { sessions, log } = this.#deps
    try {
      const status = (await sessions.get(key))?.status
      return status !== undefined && status.epoch > epoch && status.phase === 'connected'
    } catch (error) {
      log.debug({ error: toError(error), sessionId: key }, 'the successor could not be looked at')
      return false
    }
  }
}
