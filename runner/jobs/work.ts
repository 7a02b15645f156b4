import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { TransferSettings } from '#shared/transfer-settings.ts'
import type { Gate } from '../gate/gate.ts'
import type { Basics, Trail } from '../loop/needs.ts'
import type { View } from '../loop/view.ts'
import type { LiveSession } from '../session/live-session.ts'
import type { DataKeys } from '../state/data-keys.ts'
import type { SessionState } from '../state/session-state.ts'

/** What jobs need of the runner. */
export interface WorkNeeds extends Basics, Trail {
  stores: Pick<Stores, 'snapshots' | 'blobs' | 'backups'>
  dataKeys: Pick<DataKeys, 'ring'>
  gate: Pick<Gate, 'enter' | 'read' | 'leave'>
  transfer: Pick<TransferSettings, 'identities' | 'exports'>
  view: Pick<View, 'refreshSession'>
}

/** What a job works on: a session that is live here, with its state loaded. */
export interface Work {
  context: WorkNeeds
  key: SessionKey
  session: Session
  live: LiveSession
  state: SessionState
  job: Job
}

export type Result = NonNullable<Job['result']>

/** An import never waits in a pass: while it is another's turn the job stays open, and the session is woken for its own. */
export const mayBegin = ({ gate }: Pick<WorkNeeds, 'gate'>, key: SessionKey, job: Job): boolean =>
  job.kind !== 'import' || gate.enter(key)
