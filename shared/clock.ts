/**
 * Time as the code of Mooring sees it. Wall time is for people and for records; waiting and lease expiry go by the
 * monotonic clock, which no administrator and no NTP step can turn.
 */
export interface Clock {
  /** Milliseconds since 1970. May jump in either direction. */
  nowMs(): number
  /** Milliseconds since some start. Never goes back. */
  monotonicMs(): number
  /** Resolves after `ms`, however long that is; rejects with the signal's reason when that aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Runs `task` once after `ms`, however long that is; never, for `Infinity`. The answer cancels it; cancelling twice, or after it ran, is harmless. */
  after(ms: number, task: () => void): () => void
}

/** What fits into the 32 bits that Node counts a timer in, 24.8 days: one that is set for longer runs after 1 ms instead. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error)
      const stop = (): void => {
        cancel()
        reject(signal?.reason as Error)
      }
      const cancel = after(ms, () => {
        signal?.removeEventListener('abort', stop)
        resolve()
      })
      signal?.addEventListener('abort', stop, { once: true })
    }),
  after,
}

/** The only place that sets a timer for a time which somebody else chose: a long wait is waited in pieces. */
function after(ms: number, task: () => void): () => void {
  let timer: NodeJS.Timeout
  const wait = (leftMs: number): void => {
    if (leftMs <= LONGEST_TIMER_MS) timer = setTimeout(task, leftMs)
    else timer = setTimeout(() => wait(leftMs - LONGEST_TIMER_MS), LONGEST_TIMER_MS)
  }
  wait(ms)
  return () => clearTimeout(timer)
}
