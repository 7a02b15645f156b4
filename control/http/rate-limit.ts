import type { Clock } from '#shared/clock.ts'
import { CodedError } from '#shared/errors.ts'

/** Beyond this many keys the full buckets are forgotten; a full bucket is the same as none. */
const BUCKETS_MAX = 10_000

/**
 * A token bucket per key, in the memory of this process: it guards one control process against one hasty client. With
 * several control processes a client may have as many times the rate.
 */
export function createRateLimit(rate: { perSecond: number; burst: number }, clock: Clock) {
  const buckets = new Map<string, { tokens: number; atMs: number }>()
  return {
    /** Takes one token. @throws CodedError `rate_limited` with the seconds to wait */
    take(key: string): void {
      const nowMs = clock.monotonicMs()
      const bucket = buckets.get(key) ?? { tokens: rate.burst, atMs: nowMs }
      const tokens = Math.min(rate.burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * rate.perSecond)
      if (tokens < 1) {
        const retryAfterS = Math.max(1, Math.ceil((1 - tokens) / rate.perSecond))
        throw new CodedError('rate_limited', 'This key has sent too many requests.', { retryAfterS })
      }
      buckets.set(key, { tokens: tokens - 1, atMs: nowMs })
      if (buckets.size > BUCKETS_MAX) forgetFull(nowMs)
    },
  }

  function forgetFull(nowMs: number): void {
    for (const [key, { tokens, atMs }] of buckets) {
      if (tokens + ((nowMs - atMs) / 1000) * rate.perSecond >= rate.burst) buckets.delete(key)
    }
  }
}
