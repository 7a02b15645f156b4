import type { Clock } from '#shared/clock.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { LiveSession } from '../session/live-session.ts'
import type { Reporter } from './reporter.ts'

/*
 * Every step says what it needs of its runner, as an interface of its own beside it; these are the groups that nearly all
 * of them name. `runner.ts` wires one object that has it all, a test builds what its step names.
 */

/** The time, and lines for whoever operates this. */
export interface Basics {
  clock: Clock
  log: Log
}

/** The sessions in hand, by what a step needs of one. */
export interface Sessions<S = LiveSession> {
  live: ReadonlyMap<SessionKey, S>
}

/** The audit trail. */
export interface Trail {
  reporter: Pick<Reporter, 'event'>
}
