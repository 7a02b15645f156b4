import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { CodedError } from '#shared/errors.ts'

/** An entry is one `set` or a group of them; a history sync is the largest seen. */
const ENTRY_BYTES_MAX = 256 * 1024 * 1024

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

/** The bytes, compressed against a dictionary that `unpack` is given again; an empty one is none. */
export function pack(values: Uint8Array, dictionary: Uint8Array): Uint8Array {
  const params: Record<number, number> = {
    [constants.ZSTD_c_compressionLevel]: 1,
    [constants.ZSTD_c_contentSizeFlag]: 0,
  }
  const chunkSize = clamp(values.length >> 2, OUTPUT_BYTES_MIN, OUTPUT_BYTES_MAX)
  if (dictionary.length === 0) return zstdCompressSync(values, { chunkSize, params })
  const hashLog = Math.ceil(Math.log2(dictionary.length / DICTIONARY_BYTES_PER_SLOT))
  params[constants.ZSTD_c_hashLog] = clamp(hashLog, HASH_LOG_MIN, HASH_LOG_MAX)
  return zstdCompressSync(values, { chunkSize, dictionary, params })
}

const clamp = (value: number, min: number, max: number): number => Math.min(max, Math.max(min, value))

/** @throws CodedError `bad_bytes` for whatever `pack` did not make with that dictionary */
export function unpack(packed: Uint8Array, dictionary: Uint8Array): Uint8Array {
  try {
    return zstdDecompressSync(packed, {
      maxOutputLength: ENTRY_BYTES_MAX,
      ...(dictionary.length > 0 ? { dictionary } : {}),
    })
  } catch (cause) {
    throw new CodedError('bad_bytes', 'decode entry: not compressed as expected', { cause })
  }
}
