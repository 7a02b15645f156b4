import { createHash } from 'node:crypto'
import type { Clock } from '#shared/clock.ts'
import { hasCode, toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Random } from '#shared/random.ts'
import { snapshotsOf } from '#shared/registry.ts'
import type { BlobStore } from '#shared/store/blob-store.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { withoutApp } from './app-records.ts'
import type { KeyRing } from './data-keys.ts'
import type { Capture } from './journal.ts'
import { RecordMap } from './record-map.ts'
import { isBase } from './restore-plan.ts'
import { snapshotParts } from './snapshot-file.ts'
import type { WorkingCopies } from './working-copy.ts'

/** The journal since the last snapshot passes one of these, and a new one is due (docs/design/state.md §6.5). */
export const SNAPSHOT_AFTER = { bytes: 1024 * 1024, entries: 2_000, ageMs: 24 * 3_600_000 } as const
/** The last five that a start can build on, and every labelled one for thirty days (docs/design/state.md §6.5). */
export const KEEP = { newest: 5, labelledMs: 30 * 24 * 3_600_000 } as const

interface Deps {
  stores: Pick<Stores, 'snapshots' | 'blobs' | 'journal'>
  workingCopies: WorkingCopies
  clock: Clock
  random: Random
}

/**
 * Writes one immutable object, then its record, then forgets what no restore can need any more: journal entries below the
 * snapshot before this one, so that the newest two can each be rolled forward, and snapshots beyond retention.
 * Durable when it resolves; when it fails in between, what is left over is an object nobody points to, or nothing. Once the
 * signal has aborted no further part of it begins.
 */
export async function writeSnapshot(
  deps: Deps,
  at: { key: SessionKey; epoch: number; ring: KeyRing },
  capture: Capture,
  note: { reason: string; label?: string; clean: boolean },
  signal?: AbortSignal,
): Promise<SnapshotRecord> {
  const id = snapshotId(at.epoch, capture.seq, deps.random)
  const isArchive = note.label !== undefined
  const kept = isArchive
    ? { ...capture, chunks: withoutApp(new RecordMap(capture.chunks)).repack() }
    : capture
  const stored = await storeSnapshot(deps, at, kept, { id, ...note, ...(isArchive && { archive: true }) })
  if (signal?.aborted) {
    // Nobody will ever point to it, and its session may have been purged meanwhile.
    await deps.stores.blobs.remove(stored.record.object)
    signal.throwIfAborted()
  }
  await recordSnapshot(deps, at.key, stored, signal)
  return stored.record
}

/** A snapshot whose object is durable. */
export interface StoredSnapshot {
  record: SnapshotRecord
  parts: readonly Uint8Array[]
}

/**
 * The id of a snapshot. The object of a jump is stored before its entry, so a crash may leave one that lies above the head
 * and is no sign of anything lost; it can be told by its id.
 */
export const snapshotId = (epoch: number, seq: number, random: Random, kind: 'plain' | 'jump' = 'plain') =>
  `${epoch}-${seq}-${kind === 'jump' ? 'jump-' : ''}${random.id()}`

/** What the id of a snapshot says. */
export function readSnapshotId(id: string): { seq: number; isJump: boolean } | undefined {
  const parts = /^\d+-(\d+)-(jump-)?[a-z2-7]+$/.exec(id)
  return parts ? { seq: Number(parts[1]), isJump: parts[2] !== undefined } : undefined
}

/** The ids of the objects that the blob store has of a session. What can't be asked now says nothing; nothing needs it. */
export async function objectIds(blobs: BlobStore, key: SessionKey, log: Log): Promise<readonly string[]> {
  const prefix = snapshotObject(key, '')
  try {
    return (await blobs.list(prefix)).map((name) => name.slice(prefix.length))
  } catch (error) {
    log.debug({ error: toError(error), sessionId: key }, 'the objects of a session could not be listed')
    return []
  }
}

/** The lowest seq at which a snapshot of the chain stands: above it every entry is one of the chain. Pure. */
export const chainedAbove = (snapshots: readonly Pick<SnapshotRecord, 'seq' | 'mac'>[]): number =>
  Math.min(...snapshots.flatMap(({ seq, mac }) => (mac === undefined ? [] : [seq])))

export const snapshotObject = (key: SessionKey, id: string): string => `${snapshotsOf(key)}${id}`

/** The first half: the object alone. No restore chooses it before its record, or an entry that names it, is there. */
export async function storeSnapshot(
  deps: Deps,
  at: { key: SessionKey; epoch: number; ring: KeyRing },
  capture: Capture,
  note: Pick<SnapshotRecord, 'id' | 'reason' | 'label' | 'clean' | 'archive'>,
): Promise<StoredSnapshot> {
  const { stores, clock } = deps
  const { key, epoch, ring } = at
  const { seq, mac, chunks } = capture
  const parts = [...snapshotParts({ key, epoch, seq, mac }, chunks, ring.current)]
  const record: SnapshotRecord = {
    object: snapshotObject(key, note.id),
    seq,
    mac,
    epoch,
    bytes: parts.reduce((sum, part) => sum + part.length, 0),
    sha256: parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex'),
    dataKeyId: ring.current.id,
    at: clock.nowMs(),
    ...note,
  }
  await stores.blobs.create(record.object, parts)
  return { record, parts }
}

/** The second half: the record, then the working copy, then what is not needed any more. */
export async function recordSnapshot(
  deps: Deps,
  key: SessionKey,
  { record, parts }: StoredSnapshot,
  signal?: AbortSignal,
): Promise<void> {
  await deps.stores.snapshots.record(key, record)
  // The next owner of the working copy may be at work on it.
  signal?.throwIfAborted()
  if (isBase(record)) await deps.workingCopies.rebase(key, { epoch: record.epoch, seq: record.seq }, parts)
  try {
    await forget(deps, key)
  } catch (error) {
    // The snapshot is there; what could not be forgotten now is forgotten after the next one.
    if (!hasCode(error, 'store_unavailable', 'overloaded')) throw error
  }
}

/**
 * Truncates and retires. The entry that the newest snapshot stands at stays, so that a journal is never shorter than its
 * snapshots where nothing was lost. A repeat is harmless.
 */
async function forget(deps: Deps, key: SessionKey): Promise<void> {
  const { stores, clock } = deps
  const snapshots = await stores.snapshots.list(key)
  const [newest, before] = snapshots.filter(isBase)
  if (newest && before) await stores.journal.truncate(key, Math.min(before.seq, newest.seq - 1))
  for (const snapshot of retired(snapshots, clock.nowMs())) {
    await stores.blobs.remove(snapshot.object)
    await stores.snapshots.remove(key, snapshot.id)
  }
}

/** What retention lets go: neither among the newest five to build on nor labelled within thirty days. Pure. */
export function retired(snapshots: readonly SnapshotRecord[], nowMs: number): readonly SnapshotRecord[] {
  const bases = snapshots.filter(isBase)
  const kept = new Set(bases.slice(0, KEEP.newest).map((snapshot) => snapshot.id))
  return snapshots.filter((snapshot) => {
    if (kept.has(snapshot.id)) return false
    const age = nowMs - snapshot.at
    // A quarantined object is evidence; it stays as long as a labelled one does.
    return snapshot.label === undefined && snapshot.quarantined === undefined ? true : age > KEEP.labelledMs
  })
}
