import { LRUCache } from 'lru-cache'
import type { Clock } from '#shared/clock.ts'

/** Beyond this many names the one that was quiet for longest is forgotten; after a few seconds a bucket is full, which is as none. */
const BUCKETS_MAX = 10_000
/** So many seconds' worth may come at once. */
const BURST_S = 2
/** A rate may be 0, and somebody may raise it. */
const WAIT_S_MAX = 60

export interface RateLimit {
  /** Takes one token of a bucket that fills with `perSecond`. Answers 0, or in how many seconds there is one. */
  take(name: string, perSecond: number): number
  /** Takes back a `take` that turned out not to count. */
  giveBack(name: string, perSecond: number): void
}

/** A token bucket per name, in the memory of this process. */
export function createRateLimit(clock: Clock): RateLimit {
  const buckets = new LRUCache<string, { tokens: number; atMs: number }>({ max: BUCKETS_MAX })

  function tokensOf(name: string, perSecond: number, nowMs: number): number {
    const bucket = buckets.get(name)
    const full = perSecond * BURST_S
    return bucket ? Math.min(full, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond) : full
  }

  return {
    take(name, perSecond) {
      const nowMs = clock.monotonicMs()
      const tokens = tokensOf(name, perSecond, nowMs)
      if (tokens < 1) return Math.min(WAIT_S_MAX, Math.max(1, Math.ceil((1 - tokens) / perSecond)))
      buckets.set(name, { tokens: tokens - 1, atMs: nowMs })
      return 0
    },
    giveBack(name, perSecond) {
      const nowMs = clock.monotonicMs()
      const tokens = Math.min(perSecond * BURST_S, tokensOf(name, perSecond, nowMs) + 1)
      buckets.set(name, { tokens, atMs: nowMs })
    },
  }
}
