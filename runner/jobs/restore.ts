import { CodedError } from '#shared/errors.ts'
import { splitKey } from '#shared/ids.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import { ratchetFence } from '../state/ratchet-fence.ts'
import { CREDS_KEY } from '../state/record.ts'
import type { RecordMap } from '../state/record-map.ts'
import { loadSnapshot } from '../state/rehydrate.ts'
import type { Result, Work } from './work.ts'

/** What is gone back to. */
interface Chosen {
  snapshot: SnapshotRecord
  /** Opens it, and every record of it once. */
  load: () => Promise<RecordMap>
}

/**
 * Goes back to a snapshot: named, the newest before a time, or the newest; or to what a deleted session left. Going back over
 * healthy credentials rewinds ratchets, so it needs `force`, and it always goes through the fence.
 */
export async function restore(work: Work): Promise<Result> {
  const { context, live, state, job } = work
  const { backup } = job.args
  const { snapshot: chosen, load } =
    typeof backup === 'string' ? await chooseBackup(work, backup) : await chooseSnapshot(work)
  if (live.identity.paired && job.args['force'] !== true) {
    throw new CodedError('newer_state', `restore ${chosen.id}: the session has newer, healthy credentials`)
  }
  const records = await load()
  for (const [name, bytes] of ratchetFence(records, CREDS_KEY, context.clock.nowMs()))
    records.set(name, bytes)
  await live.closeSocket()
  live.judged()
  if (live.identity.paired) await state.snapshot('restore', { label: 'before_restore' })
  await state.replaceBy(records, 'restored')
  live.exchanged()
  live.superseded.forget(chosen.id)
  live.beginAfresh()
  if (typeof backup === 'string') live.imported()
  context.reporter.event(work.key, {
    kind: 'restore',
    why: chosen.id,
    epoch: state.epoch,
    detail: { seq: chosen.seq },
  })
  return { restored: chosen.id, seq: chosen.seq }
}

async function chooseSnapshot({ context, key, state, job }: Work): Promise<Chosen> {
  const snapshot = choose(await context.stores.snapshots.list(key), job.args)
  if (!snapshot) throw new CodedError('not_found', 'restore: there is no such snapshot')
  return { snapshot, load: () => loadSnapshot(context, key, state.ring, snapshot) }
}

/** A backup is opened under the key and with the data keys of the session that it is of. */
async function chooseBackup({ context, key }: Work, id: string): Promise<Chosen> {
  const { stores, dataKeys, clock } = context
  const backup = await stores.backups.get(splitKey(key).tenant, id)
  if (!backup || backup.expiresAt <= clock.nowMs() || backup.dataKeys.length === 0)
    throw new CodedError('not_found', 'restore: there is no such backup')
  const { origin, snapshot } = backup
  const load = async () => loadSnapshot(context, origin, await dataKeys.ring(origin, backup), snapshot)
  return { snapshot, load }
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
