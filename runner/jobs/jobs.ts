import { CodedError, ERRORS, hasCode, toError, type ErrorCode } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { Job, Worker } from '#shared/store/job-store.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Sessions } from '../loop/needs.ts'
import type { Reporter } from '../loop/reporter.ts'
import type { View } from '../loop/view.ts'
import type { RunnerLease } from '../ownership/lease.ts'
import { withStorableWords } from '../loop/storable-words.ts'
import { restore } from './restore.ts'
import { exportState, importState } from './transfer.ts'
import { logout, reset } from './unlink.ts'
import { mayBegin, type Result, type Work, type WorkNeeds } from './work.ts'

export interface JobNeeds extends WorkNeeds, Sessions {
  stores: WorkNeeds['stores'] & Pick<Stores, 'jobs'>
  view: Pick<View, 'jobs' | 'endJob' | 'refreshJobs' | 'refreshSession'>
  reporter: Pick<Reporter, 'event' | 'background'>
  lease: Pick<RunnerLease, 'id' | 'isGood'>
}

/**
 * Does the oldest open job of a session, and writes how it ended. A job that meets a store in trouble stays open and is
 * tried again; every job can be repeated from its beginning.
 */
export async function runJob(
  context: JobNeeds,
  key: SessionKey,
  session: Session,
  id: string,
): Promise<void> {
  const { stores, clock, view, log, lease } = context
  const live = context.live.get(key)
  const job = view.jobs.get(key)?.find((one) => one.id === id)
  if (!live?.state || !job || !mayBegin(context, key, job)) return
  const worker: Worker = { runner: lease.id, epoch: live.state.epoch }
  const startMs = clock.monotonicMs()
  const end = { nowMs: clock.nowMs() }
  try {
    if (job.kind === 'import') await begin(context, key, job, worker)
    const result = await JOBS[job.kind]({ context, key, session, live, state: live.state, job })
    await stores.jobs.finish(key, id, { ...end, state: 'done', result })
    context.reporter.event(key, { kind: 'job', to: 'done', why: job.kind, epoch: live.state?.epoch ?? 0 })
  } catch (thrown) {
    context.gate.leave(key)
    if (job.kind === 'import' && (hasCode(thrown, 'closed') || !lease.isGood))
      return interrupted(context, key, job, worker)
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
    const object = job.args['object']
    if (job.kind === 'import' && typeof object === 'string')
      context.reporter.background(key, () => stores.blobs.remove(object))
    context.reporter.event(key, { kind: 'job', to: 'failed', why: `${job.kind}: ${code}` })
  }
  view.endJob(key, id)
  await view.refreshJobs(key)
  log.info(
    { sessionId: key, job: job.kind, durationMs: Math.round(clock.monotonicMs() - startMs) },
    'job ended',
  )
}

/** So many runners may be gone with a job in their hands before it is what ends them. */
const VANISHED_MAX = 3

/**
 * Written before anything of the tenant's is read: whatever it does to this process, the next one knows.
 * @throws CodedError `quarantined` when it was begun too often
 */
async function begin(context: JobNeeds, key: SessionKey, job: Job, worker: Worker): Promise<void> {
  const begun = await context.stores.jobs.begin(key, job.id, worker)
  if ((begun?.latestTry?.vanished ?? 0) >= VANISHED_MAX)
    throw new CodedError('quarantined', `${job.kind}: ${VANISHED_MAX} runners that began it are gone`)
}

/** It stays open, and its end here is nobody's fault; the write may have to wait for the store. */
async function interrupted(context: JobNeeds, key: SessionKey, job: Job, worker: Worker): Promise<void> {
  const note = (): Promise<void> => context.stores.jobs.interrupt(key, job.id, worker)
  await note().catch(() => context.reporter.background(key, note))
  context.log.info({ sessionId: key, job: job.kind }, 'job interrupted')
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
