import { CodedError } from '#shared/errors.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import { ratchetFence } from '../state/ratchet-fence.ts'
import { CREDS_KEY } from '../state/record.ts'
import { loadSnapshot } from '../state/rehydrate.ts'
import { beginAfresh, type Result, type Work } from './work.ts'

/**
 * Goes back to a snapshot: named, the newest before a time, or the newest. Going back over healthy credentials rewinds
 * ratchets, so it needs `force`, and it always goes through the fence.
 */
export async function restore(work: Work): Promise<Result> {
  const { context, key, live, state, job } = work
  const chosen = choose(await context.stores.snapshots.list(key), job.args)
  if (!chosen) throw new CodedError('not_found', 'restore: there is no such snapshot')
  if (live.paired && job.args['force'] !== true) {
    throw new CodedError('newer_state', `restore ${chosen.id}: the session has newer, healthy credentials`)
  }
  const records = await loadSnapshot(context, key, state.ring, chosen)
  for (const [name, bytes] of ratchetFence(records, CREDS_KEY, context.clock.nowMs()))
    records.set(name, bytes)
  await live.closeSocket()
  live.verdict = undefined
  if (live.paired) await state.snapshot('restore', { label: 'before_restore' })
  await state.replaceBy(records, 'restored')
  await live.restarted()
  live.superseded = live.superseded?.filter(({ snapshot }) => snapshot !== chosen.id)
  beginAfresh(live)
  context.reporter.event(key, {
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
