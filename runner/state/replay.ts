import { macOf } from '#shared/envelope.ts'
import { CodedError, hasCode, toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { BlobStore } from '#shared/store/blob-store.ts'
import type { JournalEntry, JournalStore } from '#shared/store/journal-store.ts'
import type { KeyRing } from './data-keys.ts'
import type { EntryBody } from './entry.ts'
import { RecordMap } from './record-map.ts'
import { followsOf, openEntry } from './sealed-entry.ts'
import { readSnapshot, verifyChunks, type SnapshotContent } from './snapshot-file.ts'
import { snapshotObject } from './snapshots.ts'

/** Where a base stands. */
interface BaseHead {
  epoch: number
  seq: number
}

/**
 * One attempt to rebuild a state: a base, then entries in order. What can't be opened, or is missing, stops it; the state
 * then stays as it was before. It goes on where an entry stands for the whole state by itself: a reset, or a jump whose
 * snapshot opens. So damage that lies before such an entry harms nothing.
 *
 * Each entry has to follow the one before, by its MAC. Entries of the time before journals were chains are taken only as
 * long as the chain has not begun.
 */
export class Replay {
  readonly key: SessionKey
  ring: KeyRing
  readonly #stores: { blobs: BlobStore }
  records = new RecordMap()
  /** The state stands at this seq; -1 when not even the base could be loaded. */
  seq = 0
  /** The MAC of the entry at `seq`; none while the chain has not begun. */
  mac: string | undefined
  /** Why it could not go on. */
  stopped: string | undefined
  /** No write of the session's socket follows what was applied last. */
  clean = false
  entries = 0
  bytes = 0
  /** The object that was loaded last, as it is stored. */
  base: { head: BaseHead; parts: readonly Uint8Array[] } | undefined
  /** The seq that a snapshot of the chain stands at, whether it can be opened or not: above it no unchained entry is taken. */
  readonly #chainedAbove: number
  /** The entries that were applied since the base. */
  #applied: JournalEntry[] = []
  /** How many of them, from the first on, the working copy has. */
  #onDisk = 0
  #baseMac: { seq: number; mac: string | undefined } = { seq: 0, mac: undefined }

  constructor(stores: { blobs: BlobStore }, key: SessionKey, ring: KeyRing, chainedAbove = Infinity) {
    this.#stores = stores
    this.#chainedAbove = chainedAbove
    this.key = key
    this.ring = ring
  }

  /** Starts from a snapshot's object. @throws CodedError `bad_bytes`, `blob_missing`, `store_unavailable` */
  async load(object: string, head: BaseHead): Promise<void> {
    const loaded = await loadObject(this.#stores.blobs, this.key, this.ring, object, head)
    this.#begin(head, loaded, loaded.parts)
  }

  /** Starts from a working copy of this disk: what is applied from here on is not there yet. */
  async loadLocal(head: BaseHead, content: SnapshotContent, tail: readonly JournalEntry[]): Promise<void> {
    this.#begin(head, content)
    await this.apply(tail)
    this.#onDisk = this.#applied.length
  }

  #begin(head: BaseHead, { chunks, mac }: SnapshotContent, parts?: readonly Uint8Array[]): void {
    this.records = new RecordMap(chunks)
    this.seq = head.seq
    this.mac = mac
    this.#baseMac = { seq: head.seq, mac }
    this.base = parts && { head: { epoch: head.epoch, seq: head.seq }, parts }
    this.#applied = []
    this.#onDisk = 0
  }

  /** The entries that were applied since the base and that the disk does not have. */
  get fresh(): readonly JournalEntry[] {
    return this.#applied.slice(this.#onDisk)
  }

  /** The MAC of the entry at a seq, as far as it is known: not below the base. */
  macAt(seq: number): string | undefined {
    if (seq === this.#baseMac.seq) return this.#baseMac.mac
    const entry = this.#applied.findLast((applied) => applied.seq === seq)
    return entry && macOf(entry.sealed)
  }

  /** Nothing of this attempt can be used. */
  fail(why: string): void {
    this.records = new RecordMap()
    this.seq = -1
    this.mac = undefined
    this.stopped = why
  }

  /** @throws CodedError `newer_format`, `store_unavailable` */
  async apply(entries: readonly JournalEntry[]): Promise<void> {
    for (const entry of entries) {
      if (!this.stopped && entry.seq !== this.seq + 1)
        this.stopped = `the journal has a gap: ${this.seq + 1} is missing`
      const body = this.#open(entry)
      if (!this.stopped && body && followsOf(entry) !== this.mac)
        this.stopped = `entry ${entry.seq} follows another one than ${this.seq}`
      if (body?.kind === 'jump') await this.#jump(entry, body)
      else if (body?.kind === 'reset') {
        this.records.clear()
        this.stopped = undefined
      }
      if (!body || this.stopped) continue
      for (const [name, value] of body.changes) this.records.set(name, value)
      this.clean = body.clean ?? false
      this.seq = entry.seq
      if (!body.unchained) this.mac = macOf(entry.sealed)
      this.entries++
      this.bytes += entry.sealed.length
      this.#applied.push(entry)
    }
  }

  /** The journal says that it goes as far as `headSeq`. */
  endAt(headSeq: number): void {
    if (!this.stopped && this.seq < headSeq)
      this.stopped = `the journal ends at ${this.seq}, below its head ${headSeq}`
  }

  #open(entry: JournalEntry): EntryBody | undefined {
    try {
      const body = openEntry(this.key, entry, this.ring, this.records)
      if (!body.unchained || (this.mac === undefined && entry.seq <= this.#chainedAbove)) return body
      this.stopped ??= `entry ${entry.seq} is of the time before the chain, which has begun`
      return undefined
    } catch (error) {
      // Sound, and more than this version understands: without it the state would be an older one, and pass for the newest.
      if (hasCode(error, 'newer_format')) throw error
      this.stopped ??= `entry ${entry.seq} can't be opened: ${toError(error).message}`
      return undefined
    }
  }

  async #jump(entry: JournalEntry, body: EntryBody): Promise<void> {
    if (body.snapshot === undefined) {
      this.stopped ??= `the state at ${entry.seq} is known from its snapshot only`
      return
    }
    try {
      const object = snapshotObject(this.key, body.snapshot)
      const loaded = await loadObject(this.#stores.blobs, this.key, this.ring, object, entry)
      if (!body.unchained && loaded.mac !== macOf(entry.sealed))
        throw new CodedError('bad_bytes', 'it is that of another entry')
      this.#begin(entry, loaded, loaded.parts)
      this.stopped = undefined
    } catch (error) {
      if (!hasCode(error, 'bad_bytes', 'blob_missing')) throw error
      this.stopped ??= `the state at ${entry.seq} can't be loaded: ${error.message}`
    }
  }
}

/** Reads the journal from a seq up to its head; `page` is what of it was read already. */
export async function readOn(
  journal: JournalStore,
  replay: Replay,
  fromSeq: number,
  headSeq: number,
  page: readonly JournalEntry[] = [],
): Promise<void> {
  await replay.apply(page)
  let next = (page.at(-1)?.seq ?? fromSeq - 1) + 1
  while (next <= headSeq) {
    const entries = await journal.read(replay.key, next)
    await replay.apply(entries)
    const last = entries.at(-1)
    if (!last) break
    next = last.seq + 1
  }
  replay.endAt(headSeq)
}

/** A snapshot's object, every record of it opened once. @throws CodedError `bad_bytes`, `blob_missing` */
export async function loadObject(
  blobs: BlobStore,
  key: SessionKey,
  ring: KeyRing,
  object: string,
  head: BaseHead,
): Promise<SnapshotContent & { parts: readonly Uint8Array[] }> {
  const parts = await Array.fromAsync(blobs.read(object))
  const { epoch, seq } = head
  const content = await readSnapshot({ key, epoch, seq }, parts, (id) => ring.find(id))
  verifyChunks(content.chunks)
  return { ...content, parts }
}
