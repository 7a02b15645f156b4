import { Encoder } from 'cbor-x'
import { CodedError } from './errors.ts'

/**
 * The one place that uses the CBOR library. Plain maps (no record extension), bytes as plain byte strings, decoded bytes
 * copied out so that a small value never keeps a whole chunk alive.
 */
const options = { useRecords: false, mapsAsObjects: true, tagUint8Array: false, variableMapSize: true }
const codec = new Encoder({ ...options, copyBuffers: true })
const viewing = new Encoder({ ...options, copyBuffers: false })

export const encodeCbor = (value: unknown): Uint8Array => codec.encode(value)

const BYTE_STRING = 0x40
const ARRAY = 0x80
const NULL = 0xf6

/**
 * The same bytes as `encodeCbor` of the list, at the price of one copy: the library would grow its buffer up to the size of
 * the whole list, and would go on handing out pieces of buffers that large for whatever small comes next. They are written
 * into `scratch` where they fit, for a caller who is done with them before the next call.
 */
export function encodeByteStrings(list: readonly (Uint8Array | null)[], scratch: Buffer): Buffer {
  let size = headBytes(list.length)
  for (const bytes of list) size += bytes === null ? 1 : headBytes(bytes.length) + bytes.length
  const target = size <= scratch.length ? scratch.subarray(0, size) : Buffer.allocUnsafe(size)
  let at = writeHead(target, 0, ARRAY, list.length)
  for (const bytes of list) {
    if (bytes === null) {
      at = target.writeUInt8(NULL, at)
    } else {
      at = writeHead(target, at, BYTE_STRING, bytes.length)
      target.set(bytes, at)
      at += bytes.length
    }
  }
  return target
}

/** An item begins with its major type and its length, in the shortest form (RFC 8949 §3). */
const headBytes = (length: number): number =>
  length < 24 ? 1 : length < 0x100 ? 2 : length < 0x1_0000 ? 3 : 5

function writeHead(target: Buffer, at: number, major: number, length: number): number {
  switch (headBytes(length)) {
    case 1:
      return target.writeUInt8(major | length, at)
    case 2:
      return target.writeUInt8(length, target.writeUInt8(major | 24, at))
    case 3:
      return target.writeUInt16BE(length, target.writeUInt8(major | 25, at))
    default:
      return target.writeUInt32BE(length, target.writeUInt8(major | 26, at))
  }
}

/**
 * Bytes come back as Buffers, whatever they were taken from: libsignal refuses keys that are plain Uint8Arrays.
 * @throws CodedError `bad_bytes` for whatever is no CBOR. The caller checks the shape.
 */
export const decodeCbor = (bytes: Uint8Array): unknown => decodeBy(codec, bytes)

/**
 * The same, but bytes come back as pieces of the input, which must not change any more and lives as long as any of them: for
 * many small values that come and go together. @throws CodedError `bad_bytes`
 */
export const decodeCborInPlace = (bytes: Uint8Array): unknown => decodeBy(viewing, bytes)

function decodeBy(decoder: Encoder, bytes: Uint8Array): unknown {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  try {
    return decoder.decode(buffer)
  } catch (cause) {
    throw new CodedError('bad_bytes', 'decode CBOR', { cause })
  }
}
