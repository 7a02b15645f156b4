import { MAC_BYTES, open, seal } from '#shared/envelope.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import { entryAad } from './aad.ts'
import type { KeyRing } from './data-keys.ts'
import { decodeEntry, encodeEntry, type Before, type EntryBody } from './entry.ts'
import type { RecordMap } from './record-map.ts'

/** Where in the journal an entry stands. */
export interface EntryPlace {
  key: SessionKey
  epoch: number
  seq: number
  /** The MAC of the entry before; none for the one that begins the chain. */
  follows: string | undefined
}

/** What stands in front of an envelope begins with this; an envelope by itself begins with its own version, which is 1. */
const CHAINED = 3
const LINK_BYTES = 1 + MAC_BYTES

/**
 * The bytes of an entry as they are stored: `CHAINED`, the MAC of the entry before, the envelope, whose additional data carry
 * that MAC too. It stands in the clear so that an entry can be opened whatever became of the one before: a reset or a jump
 * is good without it. The entry that begins the chain is the envelope alone, in the place that entries had before there was a
 * chain: a Mooring of that time then sees that a newer one wrote the journal, where it would take anything else for damage.
 */
export function sealEntry(
  { key, epoch, seq, follows }: EntryPlace,
  ring: KeyRing,
  body: EntryBody,
  before: Before,
): Uint8Array {
  const sealed = seal(ring.current, encodeEntry(body, before), entryAad(key, epoch, seq, follows))
  if (follows === undefined) return sealed
  return Buffer.concat([Buffer.of(CHAINED), Buffer.from(follows, 'hex'), sealed])
}

/** The MAC of the entry that this one says it follows; to be believed once the entry is opened. */
export function followsOf({ sealed }: Pick<JournalEntry, 'sealed'>): string | undefined {
  if (sealed[0] !== CHAINED) return undefined
  return Buffer.from(sealed.buffer, sealed.byteOffset + 1, Math.min(MAC_BYTES, sealed.length - 1)).toString(
    'hex',
  )
}

/** Opens one stored entry over the state before it. @throws CodedError `bad_bytes`, `newer_format` */
export function openEntry(
  key: SessionKey,
  entry: JournalEntry,
  ring: KeyRing,
  records: RecordMap,
): EntryBody {
  const follows = followsOf(entry)
  const sealed = follows === undefined ? entry.sealed : entry.sealed.subarray(LINK_BYTES)
  const bytes = open((keyId) => ring.find(keyId), sealed, entryAad(key, entry.epoch, entry.seq, follows))
  return decodeEntry(bytes, (name) => records.get(name))
}
