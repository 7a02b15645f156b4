/** 1 s doubling to 60 s, full jitter; the count resets after 60 s of being connected (docs/design/ownership.md §5.3). */
export const BACKOFF = { firstMs: 1_000, longestMs: 60_000, stableAfterMs: 60_000 } as const

/** A floor under the jitter, so that a dice of nearly nothing does not become a busy loop. */
const LEAST_MS = 100

/** How long to wait before attempt `attempt + 1` when `attempt` ≥ 1 failed in a row. `dice` is in [0, 1). Pure. */
export function backoffMs(attempt: number, dice: number): number {
  const ceiling = Math.min(BACKOFF.longestMs, BACKOFF.firstMs * 2 ** Math.min(attempt - 1, 20))
  return Math.max(LEAST_MS, Math.round(ceiling * dice))
}
