/**
 * CRC-32C (Castagnoli), the checksum that Cloud Storage and Cloud KMS speak. Node's zlib has only the other CRC-32, and
 * the clients' own check is off: a mismatch would make the storage client delete the object (docs/facts/google-cloud.md
 * §3).
 */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value >>> 0
})

/** Goes on from `before`, the answer for the bytes that came first. */
export function crc32c(bytes: Uint8Array, before = 0): number {
  let value = ~before >>> 0
  for (let at = 0; at < bytes.length; at++) {
    value = ((TABLE[(value ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (value >>> 8)) >>> 0
  }
  return ~value >>> 0
}

/** As Cloud Storage writes it: base64 of the four bytes, the highest first. */
export function crc32cText(value: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes.toString('base64')
}
