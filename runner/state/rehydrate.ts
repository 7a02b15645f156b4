import { hasCode, toError } from '#shared/errors.ts'
import type { Log } from '#shared/log.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Witness } from '#shared/session.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { logFallback } from '../loop/log-lines.ts'
import type { KeyRing } from './data-keys.ts'
import { highestSeen, missingTail } from './missing-tail.ts'
import { RecordMap } from './record-map.ts'
import { resume, type PreparedState } from './prepared.ts'
import { loadObject, readOn, Replay } from './replay.ts'
import { furthest, planRestore, type Reach, type RestoreAttempt } from './restore-plan.ts'
import { readSnapshot, type SnapshotContent } from './snapshot-file.ts'
import { chainedAbove, objectIds } from './snapshots.ts'
import type { LocalCopy, WorkingCopies } from './working-copy.ts'

/** A session's state, rebuilt. */
export interface Rehydrated {
  records: RecordMap
  /** Of the newest entry there is; the next one gets the following. */
  headSeq: number
  /** The MAC of the newest entry that is in the state, for the next one to follow; none while the chain has not begun. */
  headMac: string | undefined
  /** The epoch of the newest entry. */
  headEpoch: number
  /** True when the state is exactly that of the head. When false it must be fenced before a socket opens. */
  complete: boolean
  /** The newest entry is the last write of a socket that ended in order. */
  clean: boolean
  from: 'prepared' | 'local' | 'snapshot' | 'empty' | 'nothing'
  /** What went wrong on the way, for an event each. */
  troubles: readonly string[]
  /** Since the last snapshot, wherever they came from. */
  entriesReplayed: number
  bytesReplayed: number
  /** Of them, those that were still missing in what was there already: all but for a prepared state or a working copy. */
  tail: number
  /** The snapshots that are there, newest first. */
  snapshots: readonly SnapshotRecord[]
}

interface Deps {
  stores: Pick<Stores, 'snapshots' | 'blobs' | 'journal'>
  workingCopies: WorkingCopies
  log: Log
}

/**
 * Rebuilds a session's state from what is stored: the best base that opens, then the journal up to its head. A damaged or
 * missing object is quarantined and the next older one is tried. Never throws for damage; answers how far it came. It is not
 * complete when anything that was seen of the journal is not there any more (docs/design/state.md §6.9).
 * A prepared state is used up by this, or thrown away when the journal is not the one that it was made from.
 * @throws CodedError `store_unavailable` when the store can't be asked, `newer_format` when a newer version wrote the journal
 */
export async function rehydrate(
  deps: Deps,
  key: SessionKey,
  ring: KeyRing,
  witnesses: readonly Witness[],
  ahead?: PreparedState,
): Promise<Rehydrated> {
  const { stores, log } = deps
  const [snapshots, head, [known, ...since], objects] = await Promise.all([
    stores.snapshots.list(key),
    stores.journal.head(key),
    ahead ? stores.journal.read(key, ahead.last.seq) : [],
    ahead?.objects ?? objectIds(stores.blobs, key, log),
  ])
  const prepared = ahead && known && isSame(known, ahead.last) ? ahead : undefined
  const local = prepared ? undefined : await checkedLocalCopy(deps, key)
  const journalHead = head?.seq ?? 0
  const troubles: string[] = []
  const quarantined = new Map<string, string>()
  const reaches: (Reach & { replay: Replay })[] = []
  for (const attempt of planRestore({ snapshots, journalHead, prepared: prepared?.last, local })) {
    const goesOn = attempt.base.from === 'prepared' && prepared
    const replay = goesOn ? resume(prepared, ring) : new Replay(stores, key, ring, chainedAbove(snapshots))
    await applyAttempt(deps, replay, attempt, { snapshots, local, since, journalHead, quarantined })
    const { seq, stopped } = replay
    reaches.push({ attempt, seq, stopped, replay })
    if (!stopped) break
    troubles.push(stopped)
    logFallback(log, { key, base: attempt.base.from, seq, why: stopped })
  }
  const best = furthest(reaches) as (Reach & { replay: Replay }) | undefined
  const evidence = { witnesses, snapshots, objects }
  const missing = missingTail({ headSeq: journalHead, macAt: (seq) => best?.replay.macAt(seq) }, evidence)
  if (missing !== undefined) {
    troubles.push(missing)
    logFallback(log, { key, base: best?.attempt.base.from ?? 'empty', seq: best?.seq ?? 0, why: missing })
  }
  refreshLocalCopy(deps, key, best)
  const headSeq = Math.max(journalHead, ...snapshots.map((snapshot) => snapshot.seq), 0)
  return {
    records: best?.replay.records ?? new RecordMap(),
    headSeq: missing === undefined ? headSeq : highestSeen(headSeq, evidence),
    headMac: best?.replay.mac,
    headEpoch: Math.max(head?.epoch ?? 0, ...snapshots.map((snapshot) => snapshot.epoch), 0),
    complete:
      missing === undefined &&
      (best ? best.stopped === undefined : journalHead === 0 && snapshots.length === 0),
    clean: best?.replay.clean ?? false,
    from: best && best.seq >= 0 ? best.attempt.base.from : 'nothing',
    troubles,
    entriesReplayed: best?.replay.entries ?? 0,
    bytesReplayed: best?.replay.bytes ?? 0,
    tail: best ? Math.max(0, best.seq - best.attempt.seq) : 0,
    snapshots: snapshots.map((snapshot) => {
      const reason = quarantined.get(snapshot.id)
      return reason === undefined ? snapshot : { ...snapshot, quarantined: reason }
    }),
  }
}

interface Known {
  snapshots: readonly SnapshotRecord[]
  local: LocalCopy | undefined
  /** What the journal holds after a prepared state. */
  since: readonly JournalEntry[]
  journalHead: number
  /** Filled with what this rehydration found to be damaged: the reason, by the snapshot's id. */
  quarantined: Map<string, string>
}

async function applyAttempt(
  deps: Deps,
  replay: Replay,
  attempt: RestoreAttempt,
  known: Known,
): Promise<void> {
  const { base } = attempt
  try {
    if (base.from === 'local') await loadLocal(replay, known.local)
    if (base.from === 'snapshot') {
      const record = known.snapshots.find((snapshot) => snapshot.id === base.id)
      if (record) await replay.load(record.object, record)
      replay.clean = record?.clean ?? false
    }
  } catch (error) {
    // The disk may fail in many ways and is never needed; a store that can't be asked is no proof of damage.
    if (base.from !== 'local' && !hasCode(error, 'bad_bytes', 'blob_missing')) throw error
    const reason = toError(error).message
    // What was sealed with a key that we don't know may be newer than our keys are: a newer owner's, and sound.
    const record = known.snapshots.find((snapshot) => base.from === 'snapshot' && snapshot.id === base.id)
    const isDamaged = base.from === 'snapshot' && record && replay.ring.find(record.dataKeyId) !== undefined
    if (isDamaged && (await isStillListed(deps, replay.key, base.id))) {
      await deps.stores.snapshots.quarantine(replay.key, base.id, reason)
      known.quarantined.set(base.id, reason)
    }
    replay.fail(`${describe(attempt)} can't be used: ${reason}`)
    return
  }
  const page = base.from === 'prepared' ? known.since : []
  await readOn(deps.stores.journal, replay, attempt.fromSeq, known.journalHead, page)
}

/** While a process stood still a newer owner may have let it go: what it listed then is no proof of damage. */
const isStillListed = async ({ stores }: Deps, key: SessionKey, id: string): Promise<boolean> =>
  (await stores.snapshots.list(key)).some((snapshot) => snapshot.id === id)

async function loadLocal(replay: Replay, local: LocalCopy | undefined): Promise<void> {
  if (!local) return
  const { head, pieces, tail } = local
  const content: SnapshotContent = pieces
    ? await readSnapshot({ key: replay.key, ...head }, pieces, (id) => replay.ring.find(id))
    : { chunks: [], mac: undefined }
  await replay.loadLocal(head, content, tail)
  if (replay.stopped) throw new Error(replay.stopped)
}

/**
 * The disk gets what the store has, so that the next start here reads only what is new. Written behind, in the order of the
 * calls: nobody waits for a disk that is never needed, and a crash before it is done leaves a copy that is behind, or none.
 */
function refreshLocalCopy(deps: Deps, key: SessionKey, best: (Reach & { replay: Replay }) | undefined): void {
  const { workingCopies } = deps
  if (!best || best.stopped) return void workingCopies.drop(key)
  const { base, fresh } = best.replay
  if (base) void workingCopies.rebase(key, base.head, base.parts)
  else if (best.attempt.base.from !== 'local') void workingCopies.drop(key)
  for (const entry of fresh) workingCopies.append(key, entry)
}

/** One snapshot's records, every one of them opened once. @throws CodedError `bad_bytes`, `blob_missing` */
export async function loadSnapshot(
  deps: { stores: Pick<Stores, 'blobs'> },
  key: SessionKey,
  ring: KeyRing,
  record: SnapshotRecord,
): Promise<RecordMap> {
  const { chunks } = await loadObject(deps.stores.blobs, key, ring, record.object, record)
  return new RecordMap(chunks)
}

/** The working copy of this disk, if its last entry is the one that the journal has at that seq. */
async function checkedLocalCopy(deps: Deps, key: SessionKey): Promise<LocalCopy | undefined> {
  const local = await deps.workingCopies.load(key)
  if (!local) return undefined
  const [stored] = await deps.stores.journal.read(key, local.seq)
  const last = local.tail.at(-1)
  return stored && last && isSame(stored, last) ? local : undefined
}

/** The bytes too: a seq, an epoch and a nonce are easily copied. */
const isSame = (stored: JournalEntry, held: JournalEntry): boolean =>
  stored.seq === held.seq &&
  stored.epoch === held.epoch &&
  stored.nonce === held.nonce &&
  Buffer.compare(stored.sealed, held.sealed) === 0

const NAMES = { prepared: 'the prepared state', local: 'the working copy', empty: 'the journal' } as const

const describe = ({ base }: RestoreAttempt): string =>
  base.from === 'snapshot' ? `snapshot ${base.id}` : NAMES[base.from]
