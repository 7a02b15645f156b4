import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { RunnerContext } from '../loop/context.ts'
import type { LiveSession } from '../session/live-session.ts'
import type { SessionState } from '../state/session-state.ts'

/** What a job works on: a session that is live here, with its state loaded. */
export interface Work {
  context: RunnerContext
  key: SessionKey
  session: Session
  live: LiveSession
  state: SessionState
  job: Job
}

export type Result = NonNullable<Job['result']>

/** An import never waits in a pass: while it is another's turn the job stays open, and the session is woken for its own. */
export const mayBegin = ({ gate }: RunnerContext, key: SessionKey, job: Job): boolean =>
  job.kind !== 'import' || gate.enter(key)

/** After the state was exchanged the session begins afresh: no block, no count of failures, no verdict on the old connection. */
export function beginAfresh(live: LiveSession): void {
  live.verdict = undefined
  live.block = undefined
  live.attempts = 0
  live.retryAtMs = 0
}
