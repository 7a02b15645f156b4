import type { Clock } from '#shared/clock.ts'
import { CodedError, ERRORS, hasCode, toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'

/** After the first failure, doubling; up to half a tenth more or less, so that what failed together is not tried together. */
const RETRY_MIN_MS = 10_000
const RETRY_MAX_MS = 300_000
const RETRY_JITTER = 0.1
/** Whoever was not offered again by then is another's by now, or gone. */
const FORGET_AFTER_MS = 2 * RETRY_MAX_MS

interface Failure {
  times: number
  atMs: number
  mayTry: boolean
  cancel: () => void
}

/** A piece of work. It heeds the signal as well as it can: once that aborts nobody waits for it. */
export type SlowWork = (signal: AbortSignal) => Promise<void>

export interface SlowLaneDeps {
  /** For the log. */
  name: string
  clock: Clock
  log: Log
  dice: () => number
  /** How many pieces run at once. */
  atOnce: number
  /** A piece that runs for longer is aborted, counts as failed, and makes room. Monotonic milliseconds. */
  withinMs: number
  /** Nothing begins while this does not hold. */
  mayWork: () => boolean
  /** A piece of this key ended, or may be offered again after it failed. */
  wake: (key: SessionKey) => void
}

/**
 * Where slow work is done that no pass waits for: a snapshot that is due, the unlinking of a device. A pass decides and
 * offers; what becomes of it here holds up neither passes nor hand-overs. Of one session one piece runs at a time, and after
 * a failure it waits, each time longer. A piece that hangs keeps its session from having another, and nobody else.
 */
export class SlowLane {
  readonly #deps: SlowLaneDeps
  /** In the order in which they were first offered. */
  readonly #waiting = new Map<SessionKey, SlowWork>()
  /** Until they really end, also after they were given up. */
  readonly #running = new Map<SessionKey, AbortController>()
  /** Those of them that count. */
  readonly #places = new Set<SessionKey>()
  readonly #failed = new Map<SessionKey, Failure>()

  constructor(deps: SlowLaneDeps) {
    this.#deps = deps
  }

  /**
   * Takes a piece of work, unless the session has one under way, or one that failed a moment ago, or nothing may begin. Of
   * several that wait the last counts. Answers whether it was taken.
   */
  offer(key: SessionKey, work: SlowWork): boolean {
    if (!this.#deps.mayWork() || this.#running.has(key)) return false
    if (this.#failed.get(key)?.mayTry === false) return false
    this.#waiting.set(key, work)
    this.#pump()
    return true
  }

  /** Work of this session waits or runs. */
  isBusy(key: SessionKey): boolean {
    return this.#waiting.has(key) || this.#running.has(key)
  }

  /** Ends all that runs, and forgets all that waits and all that failed: the runner drains. */
  abort(): void {
    this.#waiting.clear()
    for (const { cancel } of this.#failed.values()) cancel()
    this.#failed.clear()
    for (const stop of this.#running.values())
      stop.abort(new CodedError('closed', `${this.#deps.name}: the runner drains`))
  }

  #pump(): void {
    // What was offered before the lease was lost, say, is decided anew.
    if (!this.#deps.mayWork()) this.#waiting.clear()
    for (const [key, work] of this.#waiting) {
      if (this.#places.size >= this.#deps.atOnce) return
      this.#waiting.delete(key)
      void this.#run(key, work)
    }
  }

  async #run(key: SessionKey, work: SlowWork): Promise<void> {
    const { clock, name, withinMs, wake } = this.#deps
    const stop = new AbortController()
    this.#running.set(key, stop)
    this.#places.add(key)
    const cancel = clock.after(withinMs, () => {
      const error = new CodedError('store_unavailable', `${name}: it took longer than ${withinMs} ms`)
      if (!stop.signal.aborted) this.#fail(key, error)
      stop.abort(error)
      this.#leave(key)
    })
    try {
      await work(stop.signal)
      if (!stop.signal.aborted) this.#forget(key)
    } catch (error) {
      // What is not ours any more, or gave way to something else, did not fail.
      const isOver = stop.signal.aborted || hasCode(error, 'closed', 'fenced', 'lease_lost')
      if (!isOver) this.#fail(key, toError(error))
    }
    cancel()
    this.#running.delete(key)
    this.#leave(key)
    wake(key)
  }

  #leave(key: SessionKey): void {
    this.#places.delete(key)
    this.#pump()
  }

  #fail(key: SessionKey, error: Error): void {
    const { clock, dice, log, name, wake } = this.#deps
    const atMs = clock.monotonicMs()
    for (const [other, { atMs: failedMs }] of this.#failed)
      if (atMs > failedMs + FORGET_AFTER_MS) this.#forget(other)
    const times = (this.#failed.get(key)?.times ?? 0) + 1
    // What was refused for good is the same until the session has changed: nothing is gained by asking soon.
    const isForGood = error instanceof CodedError && ERRORS[error.code].retry === 'never'
    const doubledMs = isForGood ? RETRY_MAX_MS : Math.min(RETRY_MIN_MS * 2 ** (times - 1), RETRY_MAX_MS)
    const waitMs = doubledMs * (1 + RETRY_JITTER * (dice() - 0.5))
    const cancel = clock.after(waitMs, () => {
      failure.mayTry = true
      wake(key)
    })
    const failure = { times, atMs, mayTry: false, cancel }
    this.#failed.get(key)?.cancel()
    this.#failed.set(key, failure)
    const fields = { error, sessionId: key, lane: name, times, retryInMs: Math.round(waitMs) }
    log[error instanceof CodedError ? 'warn' : 'error'](fields, 'slow work failed; it is tried again')
  }

  #forget(key: SessionKey): void {
    this.#failed.get(key)?.cancel()
    this.#failed.delete(key)
  }
}
