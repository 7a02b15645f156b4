import { CodedError } from './errors.ts'

/** What follows the first byte of an item, by its low five bits: RFC 8949 §3. */
const LENGTH_IN_NEXT = new Map([
  [24, 1],
  [25, 2],
  [26, 4],
  [27, 8],
])
/** Times and big integers. Others make the library build things that no state holds: functions, references, typed arrays. */
const TAG_MAX = 3
const BYTES = 2
const TEXT = 3
const LIST = 4
const MAP = 5
const TAG = 6

/**
 * How many items these bytes of CBOR hold, without building any: a mebibyte of empty lists would be a hundred as objects.
 * Time and memory are bounded by the bytes and by `itemsMax`. A length is believed only as far as `itemsMax` goes.
 * @throws CodedError `bad_bytes` for more than that, for what is no CBOR, and for what nothing of ours writes (items
 *   without a length, other tags)
 */
export function countCbor(bytes: Uint8Array, itemsMax: number): number {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = 0
  let items = 0
  let open = 1
  for (; open > 0; open--) {
    items++
    if (items + open > itemsMax + 1) throw bad('it holds too much')
    const first = view[at++]
    if (first === undefined) throw bad('it is cut off')
    const major = first >> 5
    const length = lengthOf(view, at, first & 31)
    at += LENGTH_IN_NEXT.get(first & 31) ?? 0
    if (major === BYTES || major === TEXT) at += length
    else if (major === LIST) open += length
    else if (major === MAP) open += 2 * length
    else if (major === TAG && length > TAG_MAX) throw bad('it has a tag that is not known')
    else if (major === TAG) open++
    if (at > view.length) throw bad('it is cut off')
  }
  if (at < view.length) throw bad('there is more behind it')
  return items
}

function lengthOf(view: Buffer, at: number, low: number): number {
  if (low < 24) return low
  const size = LENGTH_IN_NEXT.get(low)
  if (size === undefined) throw bad('it has an item without a length')
  if (at + size > view.length) throw bad('it is cut off')
  return size === 8 ? Number(view.readBigUInt64BE(at)) : view.readUIntBE(at, size)
}

const bad = (why: string): CodedError => new CodedError('bad_bytes', `walk over CBOR: ${why}`)
