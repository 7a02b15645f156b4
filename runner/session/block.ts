import type { Clock } from '#shared/clock.ts'
import type { Phase } from '#shared/session.ts'

/** Something that keeps the connection closed, until a person lifts it or until a time. */
export interface Block {
  readonly phase: Phase
  readonly why: string
  /** Monotonic. */
  readonly untilMs: number | undefined
  /** Wall clock, for the status. */
  readonly until: number | undefined
}

/** A block that ends at a wall-clock time, or with a person's word. */
export const blockUntil = (clock: Clock, phase: Phase, why: string, until?: number): Block => ({
  phase,
  why,
  until,
  untilMs: until === undefined ? undefined : clock.monotonicMs() + (until - clock.nowMs()),
})

/** Whether it still holds at this monotonic time. Pure. */
export const holds = (block: Block | undefined, nowMs: number): block is Block =>
  block !== undefined && (block.untilMs === undefined || nowMs < block.untilMs)
