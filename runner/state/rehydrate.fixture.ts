import { join } from 'node:path'
import { encodeCbor } from '#shared/cbor.ts'
import { seal, type OpenKey } from '#shared/envelope.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Witness } from '#shared/session.ts'
import type { JournalEntry, JournalStore } from '#shared/store/journal-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { chunkAad, entryAad } from './aad.ts'
import { encodeEntry, type EntryBody } from './entry.ts'
import type { RecordMap } from './record-map.ts'
import { rehydrate, type Rehydrated } from './rehydrate.ts'
import { KEY, scriptedJournal, silent, type World } from './testing.ts'
import { fileWorkingCopies } from './working-copy.ts'

/** For the tests of rehydration: a state built anew, and the ways in which what is stored goes bad. */

export async function fresh(
  world: World,
  more: { stores?: Partial<Stores>; dir?: string; witnesses?: readonly Witness[] } = {},
): Promise<Rehydrated> {
  const workingCopies = fileWorkingCopies(more.dir ?? join(world.folder, 'none'), silent)
  const stores = { ...world.stores, ...more.stores }
  const rebuilt = await rehydrate(
    { stores, log: silent, workingCopies },
    KEY,
    await world.ring(),
    more.witnesses ?? [],
  )
  await workingCopies.settle()
  return rebuilt
}

/** A journal as the store holds it, with entries changed or taken out. */
export function withJournal(
  world: World,
  change: (entry: JournalEntry) => JournalEntry | undefined,
): Pick<Stores, 'journal'> {
  const { journal } = world.stores
  return {
    journal: {
      ...journal,
      head: (key) => journal.head(key),
      read: async (key, fromSeq) =>
        (await journal.read(key, fromSeq)).flatMap((entry) => change(entry) ?? []),
    },
  }
}

/** A journal that holds these entries and no others, and can be written. */
export function journalOf(entries: readonly JournalEntry[]): { journal: JournalStore } {
  const { store, stored } = scriptedJournal()
  for (const entry of entries) stored.set(entry.seq, entry)
  return { journal: store }
}

/** An entry as Mooring wrote it before journals were chains: version 2, in a place that says nothing of the one before. */
export function unchainedEntry(
  dataKey: OpenKey,
  place: { key: SessionKey; epoch: number; seq: number },
  body: EntryBody,
): JournalEntry {
  const { key, epoch, seq } = place
  const bytes = encodeEntry(body, () => undefined)
  bytes[0] = 2
  return { seq, epoch, nonce: `old-${seq}`, sealed: seal(dataKey, bytes, entryAad(key, epoch, seq)) }
}

/** The object of a snapshot as Mooring wrote it then: version 1, without a MAC; all of it in one chunk. */
export function unchainedSnapshot(
  dataKey: OpenKey,
  place: { key: SessionKey; epoch: number; seq: number },
  records: RecordMap,
): readonly Uint8Array[] {
  const head = Buffer.alloc(21)
  head.write('MOOR\u0001', 'latin1')
  head.writeBigUInt64BE(BigInt(place.epoch), 5)
  head.writeBigUInt64BE(BigInt(place.seq), 13)
  const [chunk] = records.repack()
  const sealed = seal(
    dataKey,
    encodeCbor(chunk ? [chunk.firstKey, chunk.packed] : []),
    chunkAad(place, 0, true),
  )
  const length = Buffer.alloc(4)
  length.writeUInt32BE(sealed.length)
  return [head, length, sealed]
}

export function flipped(whole: Uint8Array): Uint8Array {
  const copy = Buffer.from(whole)
  copy[copy.length >> 1] = (copy[copy.length >> 1] ?? 0) ^ 1
  return copy
}

// oxlint-disable-next-line require-yield
export async function* failing(error: Error): AsyncGenerator<Uint8Array> {
  throw error
}
