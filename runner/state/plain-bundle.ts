import { decodeCbor, encodeCbor } from '#shared/cbor.ts'
import { countCbor } from '#shared/cbor-walk.ts'
import { CodedError } from '#shared/errors.ts'
import { META_ITEMS_MAX, RECORDS_BYTES_MAX, type BundleMeta } from './bundle.ts'
import { readForeignChunk, RecordMap } from './record-map.ts'

/** As that of the old bundle, which is sealed by itself; the version tells them apart. */
const HEAD = Buffer.from('MOORBUN\u0002', 'latin1')

/** True for what `plainBundle` wrote, and for what was meant to be. */
export const isPlainBundle = (bytes: Uint8Array): boolean =>
  Buffer.compare(bytes.subarray(0, HEAD.length), HEAD) === 0

/**
 * A whole state, to be put into an age file as it is: that says who may read it, and that nothing is missing. Layout: a head
 * of magic and version; then frames of a 32-bit length and bytes, the first with the meta, each other one a chunk of records.
 */
export function* plainBundle(records: RecordMap, meta: BundleMeta): Generator<Uint8Array> {
  yield HEAD
  for (const frame of [encodeCbor(meta), ...records.repack().map(({ packed }) => packed)]) {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(frame.length)
    yield length
    yield frame
  }
}

/** @throws CodedError `bad_import`, `bad_bytes` for whatever is no whole one */
export function readPlainBundle(bytes: Uint8Array): RecordMap {
  const records = new RecordMap()
  let count = 0
  for (const frame of framesOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))) {
    if (count++ === 0) {
      countCbor(frame, META_ITEMS_MAX)
      decodeCbor(frame)
      continue
    }
    // Set one by one: a map relies on the order of its chunks, and this one may be of anybody's making.
    for (const [name, value] of readForeignChunk(frame)) records.set(name, value)
    if (records.overBytes > RECORDS_BYTES_MAX)
      throw new CodedError('bad_import', 'open bundle: it is too large')
  }
  if (count === 0) throw new CodedError('bad_import', 'open bundle: it is empty')
  return records
}

function* framesOf(view: Buffer): Generator<Buffer> {
  for (let at = HEAD.length; at < view.length;) {
    const end = at + 4 <= view.length ? at + 4 + view.readUInt32BE(at) : Infinity
    if (end > view.length) throw new CodedError('bad_import', 'open bundle: it is cut off')
    yield view.subarray(at + 4, end)
    at = end
  }
}
