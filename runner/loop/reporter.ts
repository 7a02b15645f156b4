import type { Clock } from '#shared/clock.ts'
import { hasCode, toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Random } from '#shared/random.ts'
import type { Status } from '#shared/session.ts'
import { eventIdAt, type AuditEvent } from '#shared/store/event-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { within } from '#shared/within.ts'
import { KeyQueue } from './key-queue.ts'
import { withStorableWords } from './storable-words.ts'

const RETRY_MIN_MS = 200
const RETRY_MAX_MS = 10_000
/** Events beyond this are counted and dropped: the trail must not take the memory of a runner whose store is away. */
const WAITING_EVENTS_MAX = 10_000
/**
 * Writes in the background that wait at once. What others make (receipts) is left out beyond a chat or two that is opened
 * after a day, hundreds of lines each; all of them together take some 10 MB. What we make of one session is as much as it
 * has in work, some hundreds: more than this is a mistake of ours, and must not take the memory of all either.
 */
const WAITING_MAX = { us: 1_000, others: 1_000 }
const WAITING_OF_OTHERS_MAX = 10_000
/** The start of five hundred sessions tells some two thousand events at once, and the lease must be renewed between them. */
const EVENTS_AT_ONCE = 16
/** Many times what an append takes; a session whose trail hangs goes on without counting. */
const EVENT_COUNTS_FOR_MS = 1_000

interface Trail {
  lines: { event: AuditEvent; written: () => void; done: Promise<void> }[]
  waitMs: number
  /** Monotonic: the store is not asked before. */
  untilMs: number
}

/** A write that is not done yet, and the monotonic time since when. */
interface WaitingWrite {
  what: 'status' | 'writes'
  sinceMs: number
}

/** Who makes a write: the session's own work, or people it hears from. */
export type WriteOf = keyof typeof WAITING_MAX

export interface TellDeps {
  stores: Pick<Stores, 'sessions' | 'events'>
  clock: Clock
  random: Random
  log: Log
  me: string
  fenced: (key: SessionKey) => void
  /** Its life is over, or about to be: its trail goes with it, and gets no further line. */
  isOver: (key: SessionKey) => boolean
}

/**
 * Writes statuses and events behind the loop: of several statuses of one session only the newest goes out, and a store that
 * is away delays them without holding up a socket.
 */
export class Reporter {
  readonly #deps: TellDeps
  readonly #next = new Map<SessionKey, Status>()
  readonly #writing = new Map<SessionKey, Promise<void>>()
  readonly #background = new Set<Promise<void>>()
  readonly #stop = new AbortController()
  /** What is not in the trail yet, in order. */
  readonly #events = new Map<SessionKey, Trail>()
  /** What waits of each session, in the order in which it began to. */
  readonly #waiting = new Map<SessionKey, Set<WaitingWrite>>()
  #waitingEvents = 0
  /** How many writes in the background wait of each session, and of all. */
  readonly #waitingOf = { us: new Map<SessionKey, number>(), others: new Map<SessionKey, number>() }
  #waitingOfOthers = 0
  readonly #eventQueue: KeyQueue<SessionKey>

  constructor(deps: TellDeps) {
    this.#deps = deps
    this.#eventQueue = new KeyQueue({
      run: (key) => this.#writeEvents(key),
      failed: (key, error) => deps.log.error({ error, sessionId: key }, 'events could not be written'),
      clock: deps.clock,
      concurrency: EVENTS_AT_ONCE,
      placeForMs: EVENT_COUNTS_FOR_MS,
    })
  }

  /** Notes the newest status; returns at once. */
  status(key: SessionKey, status: Status): void {
    this.#next.set(key, status)
    if (!this.#writing.has(key))
      this.#writing.set(
        key,
        this.#noted(key, 'status', (one) => this.#writeAll(key, one)),
      )
  }

  /** What of a session waits to be written, the oldest of each kind. */
  waiting(key: SessionKey): WaitingWrite[] {
    const all = [...(this.#waiting.get(key) ?? [])]
    return (['status', 'writes'] as const).flatMap((what) => all.find((one) => one.what === what) ?? [])
  }

  /** The sessions of which anything waits. */
  get waitingKeys(): Iterable<SessionKey> {
    return this.#waiting.keys()
  }

  /** For as long as the work lasts it stands among what waits. */
  async #noted(
    key: SessionKey,
    what: WaitingWrite['what'],
    work: (one: WaitingWrite) => Promise<void>,
  ): Promise<void> {
    const one: WaitingWrite = { what, sinceMs: this.#deps.clock.monotonicMs() }
    const ofKey = this.#waiting.get(key) ?? new Set()
    this.#waiting.set(key, ofKey.add(one))
    try {
      await work(one)
    } finally {
      ofKey.delete(one)
      if (ofKey.size === 0) this.#waiting.delete(key)
    }
  }

  /** Resolves when the newest status of a session is written, or given up. */
  async told(key: SessionKey): Promise<void> {
    await this.#writing.get(key)
  }

  /** Drops what is not written yet: the session is not ours any more. */
  forget(key: SessionKey): void {
    this.#next.delete(key)
  }

  /** Adds a line to the audit trail; returns at once. A session's lines go out one after the other, in the order of the calls. */
  event(key: SessionKey, event: Omit<AuditEvent, 'id' | 'at' | 'by'>): void {
    const { clock, random, me, log, isOver } = this.#deps
    if (this.#stop.signal.aborted || isOver(key)) return
    if (this.#waitingEvents >= WAITING_EVENTS_MAX) {
      log.error({ sessionId: key, kind: event.kind }, 'an event was dropped: too many wait for the store')
      return
    }
    const at = clock.nowMs()
    const whole: AuditEvent = { ...event, id: eventIdAt(at, random.id()), at, by: me }
    const written = Promise.withResolvers<void>()
    const trail = this.#events.get(key) ?? { lines: [], waitMs: 0, untilMs: 0 }
    trail.lines.push({ event: whole, written: written.resolve, done: written.promise })
    this.#events.set(key, trail)
    this.#waitingEvents++
    void this.#tracked(this.#noted(key, 'writes', () => written.promise))
    if (clock.monotonicMs() < trail.untilMs) this.#eventQueue.addAt(key, trail.untilMs)
    else this.#eventQueue.add(key)
  }

  /** Resolves when all that was told of a session is written, or given up; what waits of its status is dropped. */
  async quiet(key: SessionKey): Promise<void> {
    this.forget(key)
    const lines = this.#events.get(key)?.lines ?? []
    await Promise.all([this.#writing.get(key), ...lines.map(({ done }) => done)])
  }

  /** Until all of a session's lines are written; while the store is away it is tried again later, and others meanwhile. */
  async #writeEvents(key: SessionKey): Promise<void> {
    const { clock, random, stores, log } = this.#deps
    const trail = this.#events.get(key)
    for (let line = trail?.lines[0]; trail && line; line = trail.lines[0]) {
      try {
        await this.#orPlainer(line.event, (one) => stores.events.append(key, one))
        trail.waitMs = 0
      } catch (error) {
        if (hasCode(error, 'store_unavailable', 'overloaded')) {
          trail.waitMs = Math.min(Math.max(trail.waitMs * 2, RETRY_MIN_MS), RETRY_MAX_MS)
          trail.untilMs = clock.monotonicMs() + trail.waitMs * (0.5 + random.next() / 2)
          return this.#eventQueue.addAt(key, trail.untilMs)
        }
        if (!hasCode(error, 'fenced', 'not_found'))
          log.error({ error: toError(error) }, 'a write in the background failed')
      }
      trail.lines.shift()
      this.#waitingEvents--
      line.written()
    }
    this.#events.delete(key)
  }

  /**
   * Runs a write of a session until it succeeds, or the runner ends, or the store says that it never will. Answers false, and
   * does nothing, where too many wait already: what others make must not take the memory of a runner whose store is away.
   */
  background(key: SessionKey, work: () => Promise<void>, of: WriteOf = 'us'): boolean {
    const ofKey = this.#waitingOf[of].get(key) ?? 0
    const isOfOthers = of === 'others'
    if (ofKey >= WAITING_MAX[of] || (isOfOthers && this.#waitingOfOthers >= WAITING_OF_OTHERS_MAX)) {
      if (!isOfOthers)
        this.#deps.log.error({ sessionId: key }, 'a write was left out: too many wait for the store')
      return false
    }
    this.#count(key, of, 1)
    const done = this.#noted(key, 'writes', () => this.#untilDone(work))
    void this.#tracked(done.finally(() => this.#count(key, of, -1)))
    return true
  }

  #count(key: SessionKey, of: WriteOf, more: 1 | -1): void {
    const waiting = this.#waitingOf[of]
    const ofKey = (waiting.get(key) ?? 0) + more
    if (ofKey === 0) waiting.delete(key)
    else waiting.set(key, ofKey)
    if (of === 'others') this.#waitingOfOthers += more
  }

  /** What a store can never keep is written once more with words that it can. */
  async #orPlainer<T>(record: T, write: (record: T) => Promise<void>): Promise<void> {
    try {
      await write(record)
    } catch (error) {
      if (!hasCode(error, 'store_refused')) throw error
      this.#deps.log.error({ error }, 'the store can never keep a record as it is; its words are cut')
      await write(withStorableWords(record))
    }
  }

  /** `close` waits for it. */
  #tracked(work: Promise<void>): Promise<void> {
    const run = work.finally(() => this.#background.delete(run))
    this.#background.add(run)
    return run
  }

  /** Resolves when everything noted so far is written, at the latest after `withinMs`; then nothing is tried again. */
  async close(withinMs: number): Promise<void> {
    await within(this.#deps.clock, withinMs, Promise.all([...this.#writing.values(), ...this.#background]))
    this.#stop.abort()
    await this.#eventQueue.close(0)
  }

  async #writeAll(key: SessionKey, waiting: WaitingWrite): Promise<void> {
    const { stores, clock, fenced } = this.#deps
    for (let status = this.#next.get(key); status; status = this.#next.get(key)) {
      const newest = status
      await this.#untilDone(async () => {
        // While it waited for the store a newer one came, or the session was forgotten.
        if (this.#next.get(key) !== newest) return
        try {
          await this.#orPlainer(newest, (one) => stores.sessions.reportStatus(key, one, clock.nowMs()))
          waiting.sinceMs = clock.monotonicMs()
        } catch (error) {
          if (hasCode(error, 'fenced')) fenced(key)
          throw error
        }
      })
      if (this.#next.get(key) === newest) this.#next.delete(key)
    }
    this.#writing.delete(key)
  }

  async #untilDone(work: () => Promise<void>): Promise<void> {
    const { clock, random, log } = this.#deps
    for (let waitMs = RETRY_MIN_MS; !this.#stop.signal.aborted; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      try {
        return await work()
      } catch (error) {
        if (!hasCode(error, 'store_unavailable', 'overloaded')) {
          if (!hasCode(error, 'fenced', 'not_found'))
            log.error({ error: toError(error) }, 'a write in the background failed')
          return
        }
        await clock.sleep(waitMs * (0.5 + random.next() / 2), this.#stop.signal).catch(() => undefined)
      }
    }
  }
}
