import { CodedError, ERRORS, hasCode, toError, type ErrorCode } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import { archive } from './steps/live.ts'
import type { RunnerContext } from './context.ts'
import type { LiveSession } from './session/live-session.ts'
import { fence } from './state/fence.ts'
import { CREDS_KEY } from './state/record.ts'
import { loadSnapshot } from './state/rehydrate.ts'
import type { SessionState } from './state/session-state.ts'

interface Work {
  context: RunnerContext
  key: SessionKey
  session: Session
  live: LiveSession
  state: SessionState
  job: Job
}

type Result = NonNullable<Job['result']>

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
    context.tell.event(key, { kind: 'job', to: 'done', why: job.kind, epoch: live.state?.epoch ?? 0 })
  } catch (thrown) {
    if (hasCode(thrown, 'store_unavailable', 'overloaded', 'fenced', 'lease_lost', 'sealed')) throw thrown
    const error = toError(thrown)
    const code: ErrorCode | 'internal' = error instanceof CodedError ? error.code : 'internal'
    const detail =
      error instanceof CodedError
        ? `${error.message}. ${ERRORS[error.code].hint}`
        : 'the runner met a bug; see its log'
    log.error({ error, sessionId: key, job: job.kind }, 'job failed')
    await stores.jobs.finish(key, id, { ...end, state: 'failed', error: { code, detail } })
    context.tell.event(key, { kind: 'job', to: 'failed', why: `${job.kind}: ${code}` })
  }
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
  export: async () => {
    throw new CodedError('bad_import', 'export is not built yet')
  },
  import: async () => {
    throw new CodedError('bad_import', 'import is not built yet')
  },
  delete: async () => ({}),
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

/** Backs up, unlinks the device, and says truthfully whether WhatsApp confirmed it. */
async function logout({ context, key, live, state }: Work): Promise<Result> {
  if (!live.paired) return { unlinked: 'not_paired' }
  const backup = await state.snapshot('logout', { label: 'logout' })
  // Without a connection the server can't be told; the device then stays in the list on the phone until it expires there.
  const unlinked = live.socketIs === 'open' && live.socket ? await live.socket.logout() : 'not_connected'
  await live.closeSocket()
  live.verdict = undefined
  await state.reset([])
  await live.restarted()
  live.bar = { phase: 'logged_out', why: 'logged out on request', until: undefined, untilMs: undefined }
  context.log.info({ sessionId: key, unlinked }, 'session logged out')
  return { unlinked, snapshot: backup.id }
}

/** Starts again from nothing: the next thing is a pairing. What was there is kept under a label. */
async function reset({ context, key, live }: Work): Promise<Result> {
  await live.closeSocket()
  live.verdict = undefined
  if (live.paired) await archive(context, key, live, 'reset')
  else await live.state?.reset([])
  await live.restarted()
  live.bar = undefined
  live.attempts = 0
  live.retryAtMs = 0
  live.me = undefined
  live.authenticatedAt = undefined
  return {}
}

/**
 * Goes back to a snapshot: named, the newest before a time, or the newest. Going back over healthy credentials rewinds
 * ratchets, so it needs `force`, and it always goes through the fence.
 */
async function restore(work: Work): Promise<Result> {
  const { context, key, live, state, job } = work
  const chosen = choose(await context.stores.snapshots.list(key), job.args)
  if (!chosen) throw new CodedError('not_found', 'restore: there is no such snapshot')
  if (live.paired && job.args['force'] !== true) {
    throw new CodedError('newer_state', `restore ${chosen.id}: the session has newer, healthy credentials`)
  }
  const records = await loadSnapshot(context, key, state.ring, chosen)
  for (const [name, bytes] of fence(records, CREDS_KEY, context.clock.nowMs())) records.set(name, bytes)
  await live.closeSocket()
  live.verdict = undefined
  if (live.paired) await state.snapshot('restore', { label: 'before_restore' })
  await state.replaceBy(records, 'restored')
  await live.restarted()
  live.bar = undefined
  live.attempts = 0
  live.retryAtMs = 0
  context.tell.event(key, {
    kind: 'restore',
    why: chosen.id,
    epoch: state.epoch,
    detail: { seq: chosen.seq },
  })
  return { restored: chosen.id, seq: chosen.seq }
}

/** Pure. `at` is milliseconds since 1970: the newest snapshot that is not younger. */
export function choose(snapshots: readonly SnapshotRecord[], args: Job['args']): SnapshotRecord | undefined {
  const usable = snapshots.filter((snapshot) => snapshot.quarantined === undefined)
  const { snapshot, at } = args
  if (typeof snapshot === 'string') return usable.find((one) => one.id === snapshot)
  const byAge = usable.toSorted((a, b) => b.at - a.at)
  if (typeof at === 'number') return byAge.find((one) => one.at <= at)
  return byAge[0]
}
