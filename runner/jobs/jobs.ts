import { CodedError, ERRORS, hasCode, toError, type ErrorCode } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import type { RunnerContext } from '../loop/context.ts'
import { withStorableWords } from '../loop/storable-words.ts'
import { restore } from './restore.ts'
import { exportState, importState } from './transfer.ts'
import { logout, reset } from './unlink.ts'
import type { Result, Work } from './work.ts'

/**
 * Does the oldest open job of a session, and writes how it ended. A job that meets a store in trouble stays open and is
 * tried again; every job can be repeated from its beginning.
 */
export async function runJob(
  context: RunnerContext,
  key: SessionKey,
  session: Session,
  id: string,
): Promise<void> {
  const { stores, clock, view, log } = context
  const live = context.live.get(key)
  const job = view.jobs.get(key)?.find((one) => one.id === id)
  if (!live?.state || !job) return
  const startMs = clock.monotonicMs()
  const end = { nowMs: clock.nowMs() }
  try {
    const result = await JOBS[job.kind]({ context, key, session, live, state: live.state, job })
    await stores.jobs.finish(key, id, { ...end, state: 'done', result })
    context.reporter.event(key, { kind: 'job', to: 'done', why: job.kind, epoch: live.state?.epoch ?? 0 })
  } catch (thrown) {
    if (hasCode(thrown, 'store_unavailable', 'overloaded', 'fenced', 'lease_lost', 'closed')) throw thrown
    const error = toError(thrown)
    // Whoever owns it by now does the job again, and may have been the reason why it failed here.
    if (context.live.get(key) !== live || !context.lease.isGood)
      throw new CodedError('lease_lost', `do the job ${job.kind}`, { cause: error })
    const code: ErrorCode | 'internal' = error instanceof CodedError ? error.code : 'internal'
    const detail =
      error instanceof CodedError ? `${error.message}. ${error.hint}` : 'the runner met a bug; see its log'
    // What a tenant asked wrongly, or sent, is for the tenant to mend: the operator is not called, and sees none of it.
    if (code !== 'internal' && ERRORS[code].http < 500)
      log.info({ sessionId: key, job: job.kind, code }, 'job refused')
    else log.error({ error, sessionId: key, job: job.kind }, 'job failed')
    // What a job says of its failure must never be what keeps it open, and all that comes behind it.
    const failure = withStorableWords({ code, detail })
    await stores.jobs.finish(key, id, { ...end, state: 'failed', error: failure })
    context.reporter.event(key, { kind: 'job', to: 'failed', why: `${job.kind}: ${code}` })
  }
  view.endJob(key, id)
  await view.refreshJobs(key)
  log.info(
    { sessionId: key, job: job.kind, durationMs: Math.round(clock.monotonicMs() - startMs) },
    'job ended',
  )
}

const JOBS: Record<Job['kind'], (work: Work) => Promise<Result>> = {
  snapshot: async ({ state, job }) => described(await state.snapshot('demand', labelOf(job))),
  logout,
  reset,
  restore,
  rotate: async ({ context, key, session, state }) => {
    await state.rotate(session)
    await context.view.refreshSession(key)
    return { dataKeyId: state.ring.current.id }
  },
  export: exportState,
  import: importState,
}

const labelOf = (job: Job): { label?: string } => {
  const label = job.args['label']
  return typeof label === 'string' && label !== '' ? { label } : {}
}

const described = (record: SnapshotRecord): Result => ({
  snapshot: record.id,
  seq: record.seq,
  bytes: record.bytes,
})
