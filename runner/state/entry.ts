import { crc32 } from 'node:zlib'
import { decodeCbor, encodeByteStrings, encodeCbor } from '#shared/cbor.ts'
import { CodedError } from '#shared/errors.ts'
import { pack, unpack } from './packing.ts'
import { middleOf, trimOf, untrim, type Trim } from './trim.ts'

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
  /** Only of what was read: it was written before journals were chains, and does not say what it follows. */
  unchained?: boolean
}

/** The record's value before this entry, by key. */
export type Before = (key: string) => Uint8Array | undefined

/** Version 1 was never released: nobody has an entry of it. */
const VERSION = 3
/** The same layout, of entries that were written before journals were chains (2026-11-28; `sealed-entry.ts`). */
const VERSION_UNCHAINED = 2
/**
 * What is new in a value may still be much like what it replaces (it changed in several places): those pieces are compressed
 * against each other. Both sides know them, since entries are applied in order.
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
/** zstd takes some 25 µs to begin; what is new in one message is a key, which nothing makes smaller. */
const UNCOMPRESSED_BYTES_MAX = 256

/**
 * Layout: version, then CBOR `{k: kind, n: [keys], t?: [head, tail, head, tail, …], v | z: [pieces], x: crc32, s?: snapshot,
 * c?: clean}`. A piece is what is new in a value between its head and its tail, which are those of the value before; `v` is
 * the CBOR of the pieces, `z` the same compressed. The checksum is that of all values: pieces that are put into another
 * value than the one they were cut from must not pass for a state.
 */
export function encodeEntry(body: EntryBody, before: Before): Uint8Array {
  const names = body.changes.map(([key]) => key)
  const olds = oldsOf(body.kind, names, before)
  const trims: Trim[] = []
  const pieces = body.changes.map(([, value], at) => {
    const old = olds[at]
    const trim = value && old ? trimOf(value, old) : UNTRIMMED
    trims.push(trim)
    return value && middleOf(value, trim)
  })
  const list = encodeByteStrings(pieces, scratch.values)
  const fields = {
    k: body.kind,
    n: names,
    ...(trims.some(isTrimmed) ? { t: trims.flatMap(({ head, tail }) => [head, tail]) } : {}),
    ...(list.length <= UNCOMPRESSED_BYTES_MAX ? { v: list } : { z: pack(list, dictionaryOf(olds, trims)) }),
    x: checksum(body.changes.map(([, value]) => value)),
  }
  const more = { ...(body.snapshot ? { s: body.snapshot } : {}), ...(body.clean ? { c: true } : {}) }
  return Buffer.concat([Buffer.of(VERSION), encodeCbor({ ...fields, ...more })])
}

/**
 * @throws CodedError `newer_format` for a version that is to come, `bad_bytes` for anything else that `encodeEntry` did not
 *   make over the same `before`
 */
export function decodeEntry(bytes: Uint8Array, before: Before): EntryBody {
  const version = bytes[0]
  if (version === undefined || version < VERSION_UNCHAINED) throw bad('not an entry')
  if (version > VERSION) throw new CodedError('newer_format', `decode entry: version ${version} is not known`)
  const outer = (decodeCbor(bytes.subarray(1)) ?? {}) as Record<string, unknown>
  const { k: kind, n: names, s: snapshot, c: clean } = outer
  if (!isKind(kind)) throw bad('no such kind')
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string')) throw bad('not an entry')
  const olds = oldsOf(kind, names, before)
  const trims = trimsOf(outer['t'], names.length)
  const pieces = piecesOf(outer, names.length, dictionaryOf(olds, trims))
  const values = pieces.map((piece, at) => {
    const trim = trims[at]
    if (piece === null || !trim || !isTrimmed(trim)) return piece
    return untrim(piece, olds[at] ?? NOTHING, trim)
  })
  if (outer['x'] !== checksum(values)) throw bad('it was written over another state')
  return {
    kind,
    changes: names.map((name, at) => [name, values[at] ?? null] as const),
    ...(typeof snapshot === 'string' ? { snapshot } : {}),
    ...(clean === true ? { clean: true } : {}),
    ...(version === VERSION_UNCHAINED ? { unchained: true } : {}),
  }
}

const NOTHING = Buffer.alloc(0)
const UNTRIMMED: Trim = { head: 0, tail: 0 }
const isTrimmed = ({ head, tail }: Trim): boolean => head + tail > 0

const bad = (why: string): CodedError => new CodedError('bad_bytes', `decode entry: ${why}`)
const isKind = (kind: unknown): kind is EntryKind => ENTRY_KINDS.includes(kind as EntryKind)

const checksum = (values: readonly (Uint8Array | null)[]): number =>
  values.reduce((sum, value) => (value ? crc32(value, sum) : sum), 0)

/** What the values replace. Only a change builds on what was there; the other kinds stand for themselves. */
const oldsOf = (
  kind: EntryKind,
  names: readonly string[],
  before: Before,
): readonly (Uint8Array | undefined)[] => names.map((name) => (kind === 'change' ? before(name) : undefined))

function trimsOf(list: unknown, count: number): readonly Trim[] {
  if (list === undefined) return Array.from({ length: count }, () => UNTRIMMED)
  if (!Array.isArray(list) || list.length !== count * 2 || !list.every(isLength)) throw bad('not its trims')
  return Array.from({ length: count }, (_, at) => {
    const [head = 0, tail = 0] = list.slice(at * 2, at * 2 + 2)
    return { head, tail }
  })
}

const isLength = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function piecesOf(
  { v: plain, z: packed }: Record<string, unknown>,
  count: number,
  dictionary: Uint8Array,
): readonly (Uint8Array | null)[] {
  const list =
    plain instanceof Uint8Array ? plain : packed instanceof Uint8Array && unpack(packed, dictionary)
  const pieces = list ? decodeCbor(list) : undefined
  if (!Array.isArray(pieces) || pieces.length !== count) throw bad('keys and values differ')
  if (!pieces.every((piece) => piece === null || piece instanceof Uint8Array))
    throw bad('a value is no bytes')
  return pieces
}

/** What the pieces replace, one after the other. */
function dictionaryOf(olds: readonly (Uint8Array | undefined)[], trims: readonly Trim[]): Uint8Array {
  const { dictionary } = scratch
  let at = NO_DICTIONARY_FORMAT.length
  for (const [index, old] of olds.entries()) {
    const { head, tail } = trims[index] ?? UNTRIMMED
    if (!old || head + tail > old.length) continue
    const part = middleOf(old, { head, tail })
    if (at + part.length > dictionary.length) continue
    dictionary.set(part, at)
    at += part.length
  }
  if (at === NO_DICTIONARY_FORMAT.length) return NOTHING
  dictionary.set(NO_DICTIONARY_FORMAT)
  return dictionary.subarray(0, at)
}
