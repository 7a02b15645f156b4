/**
 * Twice the longest row of steps that one word leads to (claim, rehydrate, job, close, open, close, open, release): twice,
 * since a session may come back at once from a runner that drains.
 */
const FREE_STEPS = 16
const WINDOW_MS = 10_000
const WAIT_MIN_MS = 1_000
/** Long enough to cost nothing, short enough to be over before the next full pass (120 s). */
const WAIT_MAX_MS = 30_000
/** Who hands over has seconds in all (docs/design/ownership.md §4.5), and spins no faster than this. */
const HASTE_MS = 250

/** What a step may go by that the steps before it did not bring about. */
export interface Outside {
  /** Changes with every word of a person: the generation of the want, the job to be done. */
  word: string
  /** The kind of the last event of the connection. */
  event: string | undefined
}

interface Pace {
  word: string
  events: Set<string>
  steps: number
  windowMs: number
  lastMs: number
  waitMs: number
  untilMs: number
}

/**
 * Keeps the steps of a session from following each other without end, whatever they answer. Some are free; beyond
 * them each waits twice as long as the one before. A word of a person, or an event of a kind that was not seen yet, begins
 * anew, and so does a while without any step. Times are monotonic milliseconds.
 */
export class StepRate<K> {
  readonly #paces = new Map<K, Pace>()

  /** From when on the next step may be taken; 0 for at once. `inHaste`: it is on its way to another runner. */
  mayAtMs(key: K, outside: Outside, nowMs: number, inHaste: boolean): number {
    const { lastMs, untilMs } = this.#pace(key, outside, nowMs)
    return inHaste ? Math.min(untilMs, lastMs + HASTE_MS) : untilMs
  }

  /**
   * Counts a step that was taken, or tried; with `waitMs` the next one waits at least that long. Answers how many steps
   * led to nothing when it begins to slow them down, and nothing otherwise.
   */
  took(key: K, outside: Outside, nowMs: number, waitMs = 0): number | undefined {
    const pace = this.#pace(key, outside, nowMs)
    const wasFree = pace.waitMs === 0
    if (wasFree && nowMs >= pace.windowMs + WINDOW_MS) {
      pace.windowMs = nowMs
      pace.steps = 0
    }
    pace.steps++
    pace.lastMs = nowMs
    if (pace.steps >= FREE_STEPS) pace.waitMs = wasFree ? WAIT_MIN_MS : Math.min(pace.waitMs * 2, WAIT_MAX_MS)
    pace.untilMs = nowMs + Math.max(waitMs, pace.waitMs)
    return wasFree && pace.waitMs > 0 ? pace.steps : undefined
  }

  /** Steps of late that nothing from outside came between; 0 after a while without any. */
  stepsOf(key: K): number {
    return this.#paces.get(key)?.steps ?? 0
  }

  /** Lets go of what has been quiet: else every session that ever was would be remembered. */
  tidy(nowMs: number): void {
    for (const [key, pace] of this.#paces) if (isQuiet(pace, nowMs)) this.#paces.delete(key)
  }

  #pace(key: K, { word, event }: Outside, nowMs: number): Pace {
    const known = this.#paces.get(key)
    const fresh = { word, steps: 0, windowMs: nowMs, lastMs: nowMs, waitMs: 0, untilMs: 0 }
    if (known?.word !== word || isQuiet(known, nowMs)) {
      const pace = { ...fresh, events: new Set(event === undefined ? [] : [event]) }
      this.#paces.set(key, pace)
      return pace
    }
    if (event !== undefined && !known.events.has(event)) {
      known.events.add(event)
      Object.assign(known, fresh)
    }
    return known
  }
}

const isQuiet = ({ lastMs, waitMs }: Pace, nowMs: number): boolean =>
  nowMs >= lastMs + Math.max(WINDOW_MS, 2 * waitMs)
