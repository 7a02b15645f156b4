import type { Witness } from '#shared/session.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import { readSnapshotId } from './snapshots.ts'

/**
 * What the stores say, beside the journal itself, of how far it went. Each of these was written when the entry was durable, so
 * each holds for ever, whoever wrote it and however old it is.
 */
export interface TailEvidence {
  /** The witness of the owner's record and that of the status. */
  witnesses: readonly Witness[]
  snapshots: readonly Pick<SnapshotRecord, 'id' | 'seq' | 'mac'>[]
  /** The ids of the snapshot objects in the blob store, which has other backups than the records have. */
  objects: readonly string[]
}

/** The journal as it is. */
export interface Journal {
  /** Of its newest entry; 0 for none. */
  headSeq: number
  /** The MAC of the entry at a seq, where it is known. */
  macAt: (seq: number) => string | undefined
}

/**
 * Why the journal is not the whole one: it ends below what was seen of it, or another entry stands where one was seen.
 * `undefined` when nothing speaks against it. Pure.
 */
export function missingTail(journal: Journal, evidence: TailEvidence): string | undefined {
  const { witnesses, snapshots, objects } = evidence
  const { headSeq, macAt } = journal
  // Before journals were chains, an older Mooring removed also the entry that its newest snapshots stood at.
  const recorded = snapshots.flatMap(({ seq, mac }) => (mac === undefined ? [] : [{ seq, mac }]))
  const seen = [...witnesses, ...recorded].toSorted((a, b) => b.seq - a.seq)
  const [last] = seen
  if (last && last.seq > headSeq)
    return `the newest entries are missing: the journal ends at ${headSeq}, and was seen to go up to ${last.seq}`
  const other = seen.find(({ seq, mac }) => (macAt(seq) ?? mac) !== mac)
  if (other) return `the newest entries are missing: entry ${other.seq} is another one than was seen there`
  const known = new Set(snapshots.map(({ id }) => id))
  const stray = objects.flatMap((id) => (known.has(id) ? [] : (readSnapshotId(id) ?? [])))
  // The object of a jump comes right before its entry, and a crash may come in between.
  const ahead = stray.find(({ seq, isJump }) => seq > headSeq + (isJump ? 1 : 0))
  if (ahead)
    return `the newest entries are missing: the journal ends at ${headSeq}, and there is a snapshot of ${ahead.seq}`
  return undefined
}

/** The highest seq that anything says there was, where a tail is missing: no seq of it may be taken again. Pure. */
export const highestSeen = (headSeq: number, { witnesses, objects }: TailEvidence): number =>
  Math.max(headSeq, ...witnesses.map(({ seq }) => seq), ...objects.map((id) => readSnapshotId(id)?.seq ?? 0))
