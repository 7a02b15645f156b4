import { setTimeout as sleepFor } from 'node:timers/promises'

/**
 * Time as the code of Mooring sees it. Wall time is for people and for records; waiting and lease expiry go by the
 * monotonic clock, which no administrator and no NTP step can turn.
 */
export interface Clock {
  /** Milliseconds since 1970. May jump in either direction. */
  nowMs(): number
  /** Milliseconds since some start. Never goes back. */
  monotonicMs(): number
  /** Resolves after `ms`; rejects with the signal's reason when that aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Runs `task` once after `ms`. The answer cancels it; cancelling twice, or after it ran, is harmless. */
  after(ms: number, task: () => void): () => void
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => sleepFor(ms, undefined, signal ? { signal } : {}),
  after: (ms, task) => {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  },
}
