import { CodedError } from '#shared/errors.ts'
import type { BlobStore } from '#shared/store/blob-store.ts'
import type { JournalEntry, JournalStore } from '#shared/store/journal-store.ts'
import type { SnapshotRecord, SnapshotStore } from '#shared/store/snapshot-store.ts'
import { byText, inner, type MemoryClient } from './database.ts'

const PAGE_BYTES = 2 << 20
const PIECE_BYTES = 256 << 10

/** The journals; what is durable is what is in the map. */
export function memoryJournalStore(client: MemoryClient): JournalStore {
  const bySeq = (entries: Iterable<JournalEntry>): JournalEntry[] =>
    [...entries].toSorted((a, b) => a.seq - b.seq)

  return {
    async append(key, entry) {
      const journal = inner(client.open().journals, key)
      if (journal.has(entry.seq)) throw new CodedError('seq_taken', `append entry: ${entry.seq} is taken`)
      journal.set(entry.seq, entry)
    },

    async read(key, fromSeq) {
      const found: JournalEntry[] = []
      let bytes = 0
      for (const entry of bySeq(client.open().journals.get(key)?.values() ?? [])) {
        if (entry.seq < fromSeq) continue
        bytes += entry.sealed.length
        if (found.length > 0 && bytes > PAGE_BYTES) break
        found.push(entry)
      }
      return found
    },

    async head(key) {
      const last = bySeq(client.open().journals.get(key)?.values() ?? []).at(-1)
      return last && { seq: last.seq, epoch: last.epoch, nonce: last.nonce }
    },

    async truncate(key, throughSeq) {
      const journal = client.open().journals.get(key)
      for (const seq of journal?.keys() ?? []) if (seq <= throughSeq) journal?.delete(seq)
    },
  }
}

export function memorySnapshotStore(client: MemoryClient): SnapshotStore {
  return {
    async record(key, snapshot) {
      const known = inner(client.open().snapshots, key)
      if (!known.has(snapshot.id)) known.set(snapshot.id, snapshot)
    },

    list: async (key) =>
      [...(client.open().snapshots.get(key)?.values() ?? [])].toSorted(
        (a: SnapshotRecord, b) => b.seq - a.seq || b.at - a.at,
      ),

    async quarantine(key, id, reason) {
      const known = inner(client.open().snapshots, key)
      const found = known.get(id)
      if (found) known.set(id, { ...found, quarantined: reason })
    },

    async remove(key, id) {
      client.open().snapshots.get(key)?.delete(id)
    },
  }
}

export function memoryBlobStore(client: MemoryClient): BlobStore {
  return {
    async create(name, parts) {
      const { blobs } = client.open()
      const isPiecemeal = Symbol.asyncIterator in parts
      const bytes = Buffer.concat(isPiecemeal ? await Array.fromAsync(parts) : parts)
      const stored = blobs.get(name)
      if (!stored) blobs.set(name, bytes)
      else if (isPiecemeal || Buffer.compare(stored, bytes) !== 0)
        throw new CodedError('blob_exists', `${name} exists`)
    },

    async *read(name) {
      const bytes = client.open().blobs.get(name)
      if (!bytes) throw new CodedError('blob_missing', `${name} is not there`)
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
    },

    list: async (prefix) =>
      [...client.open().blobs.keys()].filter((name) => name.startsWith(prefix)).toSorted(byText),

    async remove(name) {
      client.open().blobs.delete(name)
    },
  }
}
