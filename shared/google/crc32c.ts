/**
 * CRC-32C (Castagnoli), the checksum that Cloud Storage and Cloud KMS speak. Node's zlib has only the other CRC-32; the
 * storage client has this one, and is loaded with it: control can do without either most of the time.
 */
export async function crc32c(bytes: Uint8Array): Promise<number> {
  const { CRC32C } = await import('@google-cloud/storage')
  const sum = new CRC32C()
  sum.update(asBuffer(bytes))
  return sum.valueOf() >>> 0
}

/** The same bytes as the kind of array that the storage client takes. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
