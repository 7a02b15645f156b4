import type { Phase } from '#shared/session.ts'

/** Something that keeps the socket closed. */
export interface Block {
  phase: Phase
  why: string
  /** Monotonic. */
  untilMs: number | undefined
  /** Wall clock, for the status. */
  until: number | undefined
}
