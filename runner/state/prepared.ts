import type { SessionKey } from '#shared/ids.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import type { KeyRing } from './data-keys.ts'
import { readOn, Replay } from './replay.ts'
import { planRestore } from './restore-plan.ts'
import type { StateDeps } from './session-state.ts'
import { chainedAbove, objectIds } from './snapshots.ts'

/**
 * The state of a session that another runner owns, rebuilt for the moment at which it is claimed. It is good for one
 * rehydration, which goes on from it, and only while the journal still holds `last`.
 */
export interface PreparedState {
  replay: Replay
  /** The newest entry that is in it. */
  last: JournalEntry
  /** The ids of the snapshot objects that there were. */
  objects: readonly string[]
  /** What it takes in memory, about. */
  bytes: number
}

/**
 * Rebuilds a session that is not ours from what is stored. It only reads, and not from this disk: a working copy may be the
 * owner's. `undefined` when anything is not as it should be; the owner to be deals with that, once it is the owner.
 * @throws CodedError `store_unavailable`, `bad_bytes`, `newer_format`, `blob_missing`, `wrong_key`
 */
export async function prepareState(
  deps: Pick<StateDeps, 'stores' | 'dataKeys' | 'log'>,
  key: SessionKey,
): Promise<PreparedState | undefined> {
  const { stores, dataKeys } = deps
  const session = await stores.sessions.get(key)
  // The first data key is the owner's to make.
  if (!session || session.dataKeys.length === 0) return undefined
  const ring = await dataKeys.ring(key, session)
  const [snapshots, head, objects] = await Promise.all([
    stores.snapshots.list(key),
    stores.journal.head(key),
    objectIds(stores.blobs, key, deps.log),
  ])
  const journalHead = head?.seq ?? 0
  const [attempt] = planRestore({ snapshots, journalHead })
  if (!attempt) return undefined
  const { base, fromSeq } = attempt
  const replay = new Replay(stores, key, ring, chainedAbove(snapshots))
  const record = snapshots.find((snapshot) => base.from === 'snapshot' && snapshot.id === base.id)
  if (record) await replay.load(record.object, record)
  await readOn(stores.journal, replay, fromSeq, journalHead)
  const last = replay.fresh.at(-1)
  // Without an entry after the snapshot there is nothing to know it by, and little to save.
  if (replay.stopped || !last) return undefined
  return { replay, last, objects, bytes: bytesOf(replay) }
}

/** The sealed bytes that are kept for the disk, and as much again for what is opened of them. */
function bytesOf({ base, fresh }: Replay): number {
  const parts = base?.parts ?? []
  const sealed = [...parts, ...fresh.map((entry) => entry.sealed)]
  return 2 * sealed.reduce((sum, { length }) => sum + length, 0)
}

/** Goes on under the keys that are known by now: there may be a newer one. */
export function resume({ replay }: PreparedState, ring: KeyRing): Replay {
  replay.ring = ring
  return replay
}
