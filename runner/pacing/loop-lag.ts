/** Past this every socket misses its pings at once (docs/facts/baileys.md §8). */
const HELD_UP_MS = 5_000
/** What held it up once may do so again: so long no more work is asked for than there is. */
const COOL_DOWN_MS = 30_000

/**
 * Notices that the event loop was held up (too much work, a machine that stood still) by a timer that comes late. Sessions
 * taken now would suffer with those that are here already.
 */
export class LoopLag {
  #dueMs: number | undefined
  #heldUpUntilMs = -Infinity

  /** A timer of this period has come; times are monotonic. Answers how late it was, when that was too late. */
  ticked(nowMs: number, everyMs: number): number | undefined {
    const lateMs = nowMs - (this.#dueMs ?? nowMs)
    this.#dueMs = nowMs + everyMs
    if (lateMs <= HELD_UP_MS) return undefined
    this.#heldUpUntilMs = nowMs + COOL_DOWN_MS
    return lateMs
  }

  isHeldUp(nowMs: number): boolean {
    return nowMs < this.#heldUpUntilMs
  }
}
