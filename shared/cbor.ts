import { Encoder } from 'cbor-x'
import { CodedError } from './errors.ts'

/**
 * The one place that uses the CBOR library. Plain maps (no record extension), bytes as plain byte strings, decoded bytes
 * copied out so that a small value never keeps a whole chunk alive.
 */
const codec = new Encoder({
  useRecords: false,
  mapsAsObjects: true,
  tagUint8Array: false,
  variableMapSize: true,
  copyBuffers: true,
})

export const encodeCbor = (value: unknown): Uint8Array => codec.encode(value)

const BYTE_STRING = 0x40
const ARRAY = 0x80
const NULL = Buffer.of(0xf6)

/**
 * The same bytes as `encodeCbor` of the list, at the price of one copy: the library would grow its buffer up to the size of
 * the whole list, and would go on handing out pieces of buffers that large for whatever small comes next.
 */
export function encodeByteStrings(list: readonly (Uint8Array | null)[]): Buffer {
  const parts: Uint8Array[] = [head(ARRAY, list.length)]
  for (const bytes of list) {
    if (bytes === null) parts.push(NULL)
    else parts.push(head(BYTE_STRING, bytes.length), bytes)
  }
  return Buffer.concat(parts)
}

/** The first bytes of an item: its major type and its length, in the shortest form (RFC 8949 §3). */
function head(major: number, length: number): Buffer {
  if (length < 24) return Buffer.of(major | length)
  if (length < 0x100) return Buffer.of(major | 24, length)
  if (length < 0x1_0000) return Buffer.of(major | 25, length >> 8, length & 0xff)
  const bytes = Buffer.alloc(5)
  bytes[0] = major | 26
  bytes.writeUInt32BE(length, 1)
  return bytes
}

/**
 * Bytes come back as Buffers, whatever they were taken from: libsignal refuses keys that are plain Uint8Arrays.
 * @throws CodedError `bad_bytes` for whatever is no CBOR. The caller checks the shape.
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  try {
    return codec.decode(buffer)
  } catch (cause) {
    throw new CodedError('bad_bytes', 'decode CBOR', { cause })
  }
}
