import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { decodeCbor, encodeByteStrings, encodeCbor } from '#shared/cbor.ts'
import { CodedError } from '#shared/errors.ts'

export const ENTRY_KINDS = ['change', 'barrier', 'reset', 'jump'] as const
export type EntryKind = (typeof ENTRY_KINDS)[number]

/** One atomic change of a session's state, as the journal keeps it. */
export interface EntryBody {
  /**
   * `barrier`: the first entry of an epoch, changes nothing. `reset`: everything before it is gone, its changes are all
   * there is. `jump`: the state at this seq is that of a snapshot only (a restore, an import).
   */
  kind: EntryKind
  /** In order; `null` removes the record. */
  changes: readonly (readonly [key: string, value: Uint8Array | null])[]
  /** For a jump: the id of the snapshot that holds the state at this seq. Its record may have been lost; its object is there. */
  snapshot?: string
  /** No write of the session's socket can follow this entry; set by a hand-over in order. */
  clean?: boolean
}

/** The record's value before this entry, by key. */
export type Before = (key: string) => Uint8Array | undefined

const VERSION = 1
/**
 * Session records are rewritten whole with every message although a few hundred bytes of them change (facts: they grow by
 * about 105 bytes a round trip without limit). So the values are compressed against what they replace: the old values
 * are the dictionary. Both sides know them, since entries are applied in order.
 */
const DICTIONARY_BYTES_MAX = 512 * 1024
/** zstd reads a dictionary that begins with its own magic number as a trained one, and fails on ours; this comes first. */
const NO_DICTIONARY_FORMAT = Buffer.of(0)
/**
 * zstd is done with its input when it answers, so the large pieces of every entry lie in the same memory: fresh memory for
 * each group of 200 took a quarter of the CPU of its sets.
 */
const scratch = {
  values: Buffer.allocUnsafeSlow(DICTIONARY_BYTES_MAX),
  dictionary: Buffer.allocUnsafeSlow(NO_DICTIONARY_FORMAT.length + DICTIONARY_BYTES_MAX),
}
/** An entry is one `set` or a group of them; a history sync is the largest seen. */
const ENTRY_BYTES_MAX = 256 * 1024 * 1024

/** Layout: version, then CBOR `{k: kind, n: [keys], z: zstd(CBOR [values]), s?: snapshot, c?: clean}`. */
export function encodeEntry(body: EntryBody, before: Before): Uint8Array {
  const names = body.changes.map(([key]) => key)
  const list = body.changes.map(([, value]) => value)
  const values = encodeByteStrings(list, scratch.values)
  const packed = pack(values, dictionaryOf(body.kind, names, before))
  const fields = { k: body.kind, n: names, z: packed }
  const more = { ...(body.snapshot ? { s: body.snapshot } : {}), ...(body.clean ? { c: true } : {}) }
  return Buffer.concat([Buffer.of(VERSION), encodeCbor({ ...fields, ...more })])
}

/** @throws CodedError `bad_bytes` for anything that `encodeEntry` did not make over the same `before` */
export function decodeEntry(bytes: Uint8Array, before: Before): EntryBody {
  if (bytes[0] !== VERSION)
    throw new CodedError('bad_bytes', `decode entry: version ${bytes[0] ?? 'none'} is not known`)
  const outer = decodeCbor(bytes.subarray(1)) as
    | Record<'k' | 'n' | 'z' | 's' | 'c', unknown>
    | null
    | undefined
  const { k: kind, n: names, z: packed, s: snapshot, c: clean } = outer ?? {}
  if (!isKind(kind)) throw new CodedError('bad_bytes', 'decode entry: no such kind')
  if (
    !Array.isArray(names) ||
    !names.every((name) => typeof name === 'string') ||
    !(packed instanceof Uint8Array)
  )
    throw new CodedError('bad_bytes', 'decode entry: not an entry')
  const values = decodeCbor(unpack(packed, dictionaryOf(kind, names, before)))
  if (!Array.isArray(values) || values.length !== names.length)
    throw new CodedError('bad_bytes', 'decode entry: keys and values differ')
  const changes = names.map((name, at): readonly [string, Uint8Array | null] => {
    const value: unknown = values[at]
    if (value !== null && !(value instanceof Uint8Array))
      throw new CodedError('bad_bytes', 'decode entry: a value is no bytes')
    return [name, value]
  })
  return {
    kind,
    changes,
    ...(typeof snapshot === 'string' ? { snapshot } : {}),
    ...(clean === true ? { clean: true } : {}),
  }
}

const isKind = (kind: unknown): kind is EntryKind => ENTRY_KINDS.includes(kind as EntryKind)

/** Only a change builds on what was there; the other kinds stand for themselves. */
function dictionaryOf(kind: EntryKind, names: readonly string[], before: Before): Uint8Array {
  if (kind !== 'change') return Buffer.alloc(0)
  const parts: Uint8Array[] = []
  let size = 0
  for (const name of names) {
    const value = before(name)
    if (!value || size + value.length > DICTIONARY_BYTES_MAX) continue
    parts.push(value)
    size += value.length
  }
  if (parts.length === 0) return Buffer.alloc(0)
  const dictionary = scratch.dictionary
  dictionary.set(NO_DICTIONARY_FORMAT)
  let at = NO_DICTIONARY_FORMAT.length
  for (const part of parts) {
    dictionary.set(part, at)
    at += part.length
  }
  return dictionary.subarray(0, at)
}

/**
 * zstd's own choice of a hash table does not look at the dictionary, so that in a group of sixty records most of what they
 * replace was not found any more. Measured with records of 2 KB whose last chain moved: one slot for each 7 bytes finds
 * all of it (60 records: 4,297 B instead of 78,696 B; 200: 14,288 B instead of 262,619 B), one for each 9 no longer does,
 * and a larger table only takes longer to set up.
 */
const DICTIONARY_BYTES_PER_SLOT = 7
const HASH_LOG_MIN = 10
const HASH_LOG_MAX = 17
/** Most entries are this small; zstd's default of 16 KiB a call is garbage to collect. */
const OUTPUT_BYTES_MIN = 1_024
const OUTPUT_BYTES_MAX = 64 * 1_024

function pack(values: Uint8Array, dictionary: Uint8Array): Uint8Array {
  const params: Record<number, number> = {
    [constants.ZSTD_c_compressionLevel]: 1,
    [constants.ZSTD_c_contentSizeFlag]: 0,
    [constants.ZSTD_c_checksumFlag]: 1,
  }
  const chunkSize = within(values.length >> 2, OUTPUT_BYTES_MIN, OUTPUT_BYTES_MAX)
  if (dictionary.length === 0) return zstdCompressSync(values, { chunkSize, params })
  const hashLog = Math.ceil(Math.log2(dictionary.length / DICTIONARY_BYTES_PER_SLOT))
  params[constants.ZSTD_c_hashLog] = within(hashLog, HASH_LOG_MIN, HASH_LOG_MAX)
  return zstdCompressSync(values, { chunkSize, dictionary, params })
}

const within = (value: number, min: number, max: number): number => Math.min(max, Math.max(min, value))

function unpack(packed: Uint8Array, dictionary: Uint8Array): Uint8Array {
  try {
    return zstdDecompressSync(packed, {
      maxOutputLength: ENTRY_BYTES_MAX,
      ...(dictionary.length > 0 ? { dictionary } : {}),
    })
  } catch (cause) {
    throw new CodedError('bad_bytes', 'decode entry: not compressed as expected', { cause })
  }
}
