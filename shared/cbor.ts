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
