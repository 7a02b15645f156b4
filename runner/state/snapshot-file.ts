import { decodeCbor, encodeCbor } from '#shared/cbor.ts'
import { MAC_BYTES, open, seal, type OpenKey } from '#shared/envelope.ts'
import { CodedError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import { chunkAad } from './aad.ts'
import { readChunk, type Chunk } from './record-map.ts'

/** Where in the life of a session a snapshot stands. */
export interface SnapshotHead {
  key: SessionKey
  epoch: number
  seq: number
}

/** What a snapshot object holds. */
export interface SnapshotContent {
  chunks: readonly Chunk[]
  /** Of the entry at its seq; an object of version 1 has none. */
  mac: string | undefined
}

const MAGIC = Buffer.from('MOOR')
const VERSION = 2
/** Without a MAC: of the time before journals were chains (2026-11-28). */
const VERSION_UNCHAINED = 1
/** Magic, version, then epoch and seq as 64-bit numbers, then the MAC: enough to know what to open it with. */
const UNCHAINED_HEAD_BYTES = MAGIC.length + 1 + 16
const HEAD_BYTES = UNCHAINED_HEAD_BYTES + MAC_BYTES
/** A frame is one sealed chunk; this bounds what a damaged length field may ask for. */
const FRAME_BYTES_MAX = 64 * 1024 * 1024

/**
 * The parts of a snapshot object, in order: the head, then each chunk sealed by itself with its place, its index and
 * whether it is the last, so that none can be dropped, doubled or reordered. It is written and read in a stream.
 */
export function* snapshotParts(
  head: SnapshotHead & { mac: string },
  chunks: readonly Chunk[],
  key: OpenKey,
): Generator<Uint8Array> {
  const bytes = Buffer.alloc(HEAD_BYTES)
  MAGIC.copy(bytes)
  bytes[MAGIC.length] = VERSION
  bytes.writeBigUInt64BE(BigInt(head.epoch), MAGIC.length + 1)
  bytes.writeBigUInt64BE(BigInt(head.seq), MAGIC.length + 9)
  bytes.write(head.mac, UNCHAINED_HEAD_BYTES, MAC_BYTES, 'hex')
  yield bytes
  const list: readonly (Chunk | undefined)[] = chunks.length > 0 ? chunks : [undefined]
  for (const [index, chunk] of list.entries()) {
    const aad = chunkAad(head, index, index === list.length - 1)
    const sealed = seal(key, encodeCbor(chunk ? [chunk.firstKey, chunk.packed] : []), aad)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(sealed.length)
    yield length
    yield sealed
  }
}

/**
 * The content of a snapshot object, whatever the sizes of the pieces it comes in.
 * @throws CodedError `bad_bytes` for anything but the whole, untouched object of this session at this epoch and seq
 */
export async function readSnapshot(
  head: SnapshotHead,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  find: (keyId: string) => OpenKey | undefined,
): Promise<SnapshotContent> {
  const { frames, mac } = await readFrames(head, pieces)
  const chunks = frames.flatMap((sealed, index) => {
    const aad = chunkAad({ ...head, mac }, index, index === frames.length - 1)
    const chunk = toChunk(decodeCbor(open(find, sealed, aad)))
    return chunk ? [chunk] : []
  })
  return { chunks, mac }
}

async function readFrames(
  head: SnapshotHead,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<{ frames: Uint8Array[]; mac: string | undefined }> {
  let waiting = Buffer.alloc(0)
  let headRead: { bytes: number; mac: string | undefined } | undefined
  const frames: Uint8Array[] = []
  for await (const piece of pieces) {
    waiting = waiting.length === 0 ? Buffer.from(piece) : Buffer.concat([waiting, piece])
    if (!headRead) {
      headRead = readHead(head, waiting)
      if (!headRead) continue
      waiting = waiting.subarray(headRead.bytes)
    }
    while (waiting.length >= 4) {
      const length = waiting.readUInt32BE(0)
      if (length > FRAME_BYTES_MAX) throw new CodedError('bad_bytes', 'read snapshot: a frame is too long')
      if (waiting.length < 4 + length) break
      frames.push(Buffer.from(waiting.subarray(4, 4 + length)))
      waiting = waiting.subarray(4 + length)
    }
  }
  if (!headRead || waiting.length > 0 || frames.length === 0)
    throw new CodedError('bad_bytes', 'read snapshot: it is cut off')
  return { frames, mac: headRead.mac }
}

/** `undefined` while not all of it is there. */
function readHead(head: SnapshotHead, bytes: Buffer): { bytes: number; mac: string | undefined } | undefined {
  if (bytes.length < UNCHAINED_HEAD_BYTES) return undefined
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw new CodedError('bad_bytes', 'read snapshot: this is no snapshot')
  const version = bytes[MAGIC.length]
  if (version !== VERSION && version !== VERSION_UNCHAINED)
    throw new CodedError('bad_bytes', `read snapshot: version ${version} is not known`)
  const epoch = bytes.readBigUInt64BE(MAGIC.length + 1)
  const seq = bytes.readBigUInt64BE(MAGIC.length + 9)
  if (epoch !== BigInt(head.epoch) || seq !== BigInt(head.seq))
    throw new CodedError('bad_bytes', 'read snapshot: it is another one')
  if (version === VERSION_UNCHAINED) return { bytes: UNCHAINED_HEAD_BYTES, mac: undefined }
  if (bytes.length < HEAD_BYTES) return undefined
  return { bytes: HEAD_BYTES, mac: bytes.toString('hex', UNCHAINED_HEAD_BYTES, HEAD_BYTES) }
}

function toChunk(value: unknown): Chunk | undefined {
  if (!Array.isArray(value)) throw new CodedError('bad_bytes', 'read snapshot: a frame is no chunk')
  if (value.length === 0) return undefined
  const [firstKey, packed]: unknown[] = value
  if (typeof firstKey !== 'string' || !(packed instanceof Uint8Array))
    throw new CodedError('bad_bytes', 'read snapshot: a frame is no chunk')
  const chunk = { firstKey, packed }
  return chunk
}

/** Reads every record once, so that damage inside a chunk is found before a socket relies on it. */
export function verifyChunks(chunks: readonly Chunk[]): number {
  let records = 0
  for (const chunk of chunks) records += readChunk(chunk.packed).size
  return records
}
