import type { CollectionReference } from '@google-cloud/firestore'
import { CodedError } from '../errors.ts'
import type { SessionKey } from '../ids.ts'
import { bytesOf, type Database } from './database.ts'
import { spread } from './document-id.ts'
import type { Writes } from './writes.ts'

/** A document holds 1 MiB with all its fields (docs/facts/google-cloud.md §2.1). */
const PART_BYTES = 900 * 1024
/** The emulator drops a commit over 4 MiB in silence, Firestore refuses one over 10 (docs/facts/google-cloud.md §10). */
const BATCH_BYTES = 3 * 1024 * 1024
/** Parts read at once: 4 × 900 KiB is about what one answer may hold in memory. */
const READ_AT_ONCE = 4

/**
 * `sessionData/{hash}~{key}/journalParts/{seq}~{nonce}~{number}` {bytes}: what does not fit into an entry's document. Parts belong to the entry
 * whose nonce they carry: those of a writer who lost the race for a seq are never read, and go with the truncation.
 */
export interface JournalParts {
  collection(key: SessionKey): CollectionReference
  /** How many documents `sealed` needs besides the entry's own; 0 when it fits there. */
  countFor(sealed: Uint8Array): number
  /** True when entry and parts fit into one atomic group. */
  fitTogether(sealed: Uint8Array): boolean
  /** Adds all parts to a group of writes. */
  add(writes: Writes, key: SessionKey, entryId: string, nonce: string, sealed: Uint8Array): void
  /** Writes parts ahead of their entry, group after group. Repeating it is harmless. */
  stage(key: SessionKey, entryId: string, nonce: string, sealed: Uint8Array): Promise<void>
  read(key: SessionKey, entryId: string, nonce: string, count: number): Promise<Uint8Array>
}

export function createJournalParts(db: Database): JournalParts {
  const collection = (key: SessionKey) => db.collection(`sessionData/${spread(key)}/journalParts`)
  const refOf = (key: SessionKey, entryId: string, nonce: string, number: number) =>
    collection(key).doc(`${entryId}~${nonce}~${String(number).padStart(4, '0')}`)
  const countFor = (sealed: Uint8Array): number =>
    sealed.byteLength <= PART_BYTES ? 0 : Math.ceil(sealed.byteLength / PART_BYTES)
  const piece = (sealed: Uint8Array, number: number): { bytes: Uint8Array } => ({
    bytes: sealed.subarray(number * PART_BYTES, (number + 1) * PART_BYTES),
  })

  return {
    collection,
    countFor,
    fitTogether: (sealed) => sealed.byteLength <= BATCH_BYTES,
    add(writes, key, entryId, nonce, sealed) {
      for (let number = 0; number < countFor(sealed); number++) {
        writes.set(refOf(key, entryId, nonce, number), piece(sealed, number))
      }
    },
    async stage(key, entryId, nonce, sealed) {
      const perBatch = Math.floor(BATCH_BYTES / PART_BYTES)
      for (let from = 0; from < countFor(sealed); from += perBatch) {
        await db.commit('append parts of a journal entry', (writes) => {
          for (let number = from; number < Math.min(from + perBatch, countFor(sealed)); number++) {
            writes.set(refOf(key, entryId, nonce, number), piece(sealed, number))
          }
        })
      }
    },
    async read(key, entryId, nonce, count) {
      const parts: Uint8Array[] = []
      for (let from = 0; from < count; from += READ_AT_ONCE) {
        const numbers = Array.from({ length: Math.min(READ_AT_ONCE, count - from) }, (_, i) => from + i)
        const refs = numbers.map((number) => refOf(key, entryId, nonce, number))
        for (const snapshot of await db.getAll('read parts of a journal entry', refs)) {
          const bytes = snapshot.get('bytes') as Uint8Array | undefined
          if (!bytes) throw new CodedError('journal_gap', `journal entry ${entryId} lacks a part`)
          parts.push(bytes)
        }
      }
      return bytesOf(Buffer.concat(parts))
    },
  }
}
