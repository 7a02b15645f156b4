import type { Clock } from '#shared/clock.ts'
import { backoffMs, BACKOFF } from '../pacing/backoff.ts'
import { holds, type Block } from './block.ts'

/** When a session connects again, for whoever only reads. */
export interface RetryView {
  /** Failed attempts in a row; 0 once a connection has lasted. */
  readonly attempts: number
  /** Monotonic: it does not connect before; 0 for at once. */
  readonly retryAtMs: number
  /** What keeps it from connecting, whatever the time of the next try. */
  readonly block: Block | undefined
}

/** Counts failures in a row, and says when to try again, or what has to go before there is a next time. */
export class Retry implements RetryView {
  readonly #clock: Clock
  readonly #dice: () => number
  #attempts: number
  #retryAtMs = 0
  #block: Block | undefined
  /** Failures in a row for one and the same reason: what ends after a few tries is counted by itself. */
  #triesFor: { why: string; count: number } | undefined
  #cancelStable: (() => void) | undefined

  /** What the predecessor counted, and what blocked it. `dice` is in [0, 1). */
  constructor(clock: Clock, dice: () => number, before: { attempts: number; block: Block | undefined }) {
    this.#clock = clock
    this.#dice = dice
    this.#attempts = before.attempts
    this.#block = before.block
  }

  get attempts(): number {
    return this.#attempts
  }

  get retryAtMs(): number {
    return this.#retryAtMs
  }

  get block(): Block | undefined {
    return this.#block
  }

  blockedBy(block: Block): void {
    this.#block = block
  }

  /** There is a block, and its time is over. */
  get hasPastBlock(): boolean {
    return this.#block !== undefined && !holds(this.#block, this.#clock.monotonicMs())
  }

  blockOver(): void {
    this.#block = undefined
  }

  /** Counts a failed attempt and sets the next. Answers how often it failed in a row for this reason. */
  failed(why: string): number {
    this.#attempts++
    const count = this.#triesFor?.why === why ? this.#triesFor.count + 1 : 1
    this.#triesFor = { why, count }
    this.#retryAtMs = this.#clock.monotonicMs() + backoffMs(this.#attempts, this.#dice())
    return count
  }

  /** Not before this monotonic time, for a reason that is no failed attempt. */
  waitUntil(atMs: number): void {
    this.#retryAtMs = atMs
  }

  /** Connected: what failed before is forgiven once the connection has lasted, and `forgiven` is told. */
  opened(forgiven: () => void): void {
    this.#retryAtMs = 0
    this.#triesFor = undefined
    if (this.#attempts === 0) return
    this.#cancelStable?.()
    this.#cancelStable = this.#clock.after(BACKOFF.stableAfterMs, () => {
      this.#attempts = 0
      forgiven()
    })
  }

  /** The connection is over before it has lasted, or after. */
  closed(): void {
    this.#cancelStable?.()
    this.#cancelStable = undefined
  }

  /** A person's word: every wait and every count ends. */
  startOver(): void {
    this.#attempts = 0
    this.#retryAtMs = 0
    this.#triesFor = undefined
  }

  /** It is another identity, or another state of it: nothing of what was before counts. */
  beginAfresh(): void {
    this.startOver()
    this.#block = undefined
  }
}
