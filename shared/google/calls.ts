import type { Clock } from '../clock.ts'
import { CodedError } from '../errors.ts'
import { withDeadline, within } from '../within.ts'

/**
 * A deadline on every call. The clients of Google keep trying for up to ten minutes (docs/facts/google-cloud.md §2.4),
 * which is longer than any lease; a caller here gets `store_unavailable` in time and may ask again. What was given up may
 * still land: that is why every write carries a nonce, an epoch or a precondition.
 */
export interface Calls {
  /** @throws CodedError `store_unavailable` after `timeoutMs`; `overloaded` when too many calls are unfinished */
  within<T>(what: string, work: () => Promise<T>, timeoutMs?: number): Promise<T>
  /** Refuses all further calls; resolves true once the client has finished the earlier ones, false after `waitMs`. */
  close(waitMs: number): Promise<boolean>
}

/**
 * Twice the slowest figure we plan for (docs/facts/google-cloud.md §2.1: 10 to 40 ms) leaves room; the lease has its own,
 * shorter one.
 */
const CALL_TIMEOUT_MS = 10_000
/** Given-up calls hold their bytes until the client ends them; 5,000 entries of 4 KiB are 20 MiB. */
const UNFINISHED_MAX = 5000

export function createCalls(clock: Clock, defaultMs = CALL_TIMEOUT_MS): Calls {
  /** Calls that the client has not finished, whether somebody waits for them or not. */
  const unfinished = new Set<Promise<unknown>>()
  let closed = false
  return {
    async close(waitMs) {
      closed = true
      return within(clock, waitMs, Promise.allSettled(unfinished))
    },
    async within(what, work, timeoutMs = defaultMs) {
      if (closed) throw new CodedError('store_unavailable', `${what}: the stores are closed`)
      if (unfinished.size >= UNFINISHED_MAX) {
        throw new CodedError('overloaded', `${what}: too many calls wait`)
      }
      const running = work()
      unfinished.add(running)
      const forget = (): void => void unfinished.delete(running)
      running.then(forget, forget)
      return withDeadline(clock, timeoutMs, running, () => {
        throw new CodedError('store_unavailable', `${what}: no answer within ${timeoutMs} ms`)
      })
    },
  }
}
