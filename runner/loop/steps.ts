import { act, stepFailed, type ActNeeds } from './act.ts'
import type { Steps } from './passes.ts'
import { reportStatus, type ReportNeeds } from './report-status.ts'
import { leave, type LeaveNeeds } from './steps/ownership.ts'
import { unlinkSuperseded, type UnlinkNeeds } from './steps/unlink-superseded.ts'
import { snapshotIfDue, type UpkeepNeeds } from './upkeep.ts'
import { settleVerdict, type VerdictNeeds } from './steps/verdict.ts'

/** The steps of one runner, given what they need of it. */
export const stepsOf = (
  runner: ActNeeds & LeaveNeeds & ReportNeeds & UnlinkNeeds & UpkeepNeeds & VerdictNeeds,
): Steps => ({
  act: (key, session, step) => act(runner, key, session, step),
  failed: (key, step, thrown) => stepFailed(runner, key, step, thrown),
  leave: (key) => leave(runner, key),
  settleVerdict: (key, session) => settleVerdict(runner, key, session),
  unlinkSuperseded: (key) => unlinkSuperseded(runner, key),
  snapshotIfDue: (key) => snapshotIfDue(runner, key),
  reportStatus: (key) => reportStatus(runner, key),
})
