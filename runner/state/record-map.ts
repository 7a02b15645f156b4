import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { LRUCache } from 'lru-cache'
import { countCbor } from '#shared/cbor-walk.ts'
import { decodeCborInPlace, encodeCbor } from '#shared/cbor.ts'
import { CodedError } from '#shared/errors.ts'

/** Some records in key order, compressed; the unit in which a snapshot is sealed and an idle session is kept. */
export interface Chunk {
  firstKey: string
  /** zstd over CBOR `[key, value, key, value, …]`. */
  packed: Uint8Array
}

/** Small enough to be opened for one record, large enough to compress: four chunks hold the 812 pre-keys of rc14. */
const CHUNK_BYTES = 24 * 1024

/**
 * What an opened record takes beside its bytes: its buffer (a piece of the chunk's), its key, its place in the map. Measured
 * with the 812 pre-keys of rc14, which are 60 KB in themselves: a cache that counted only those held all of 200 idle sessions.
 */
const RECORD_OVERHEAD_BYTES = 200
/** Chunks opened lately, for all sessions of the process together; an idle session soon keeps none. */
const opened = new LRUCache<Chunk, Map<string, Uint8Array>>({ maxSize: 16 * 1024 * 1024 })

/**
 * The whole Signal state of one session in memory: compressed chunks as the snapshot holds them, and over them the records
 * that changed since. Memory of an idle session is that of its compressed snapshot.
 */
export class RecordMap {
  #base: readonly Chunk[]
  readonly #over = new Map<string, Uint8Array | null>()
  #overBytes = 0

  constructor(base: readonly Chunk[] = []) {
    this.#base = base
  }

  /** The bytes of a record; they must not be changed. */
  get(key: string): Uint8Array | undefined {
    const over = this.#over.get(key)
    if (over !== undefined) return over ?? undefined
    const chunk = this.#chunkFor(key)
    return chunk && openChunk(chunk).get(key)
  }

  /** `null` removes. */
  set(key: string, bytes: Uint8Array | null): void {
    this.#overBytes += (bytes?.length ?? 0) - (this.#over.get(key)?.length ?? 0)
    this.#over.set(key, bytes)
  }

  clear(): void {
    this.#base = []
    this.#over.clear()
    this.#overBytes = 0
  }

  /** Takes the content of another map, which must not be used any more. */
  become(other: RecordMap): void {
    this.#base = other.repack()
    this.#over.clear()
    this.#overBytes = 0
  }

  get isEmpty(): boolean {
    return this.entries().next().done === true
  }

  /** Bytes of the records that changed since the base. */
  get overBytes(): number {
    return this.#overBytes
  }

  /** How many chunks the base has: of some 24 KiB of records, or of one that is larger. */
  get chunks(): number {
    return this.#base.length
  }

  /** Every record whose key begins so, in key order. */
  *entries(prefix = ''): Generator<readonly [string, Uint8Array]> {
    const changed = [...this.#over.keys()].filter((key) => key.startsWith(prefix)).toSorted(byKey)
    let next = 0
    for (const chunk of this.#chunksWith(prefix)) {
      // Read once, from one end to the other: it would drive out what is asked for again.
      for (const [key, bytes] of opened.get(chunk) ?? readChunk(chunk.packed)) {
        if (!key.startsWith(prefix)) continue
        for (; next < changed.length && (changed[next] as string) < key; next++)
          yield* this.#changed(changed[next] as string)
        if (this.#over.has(key)) continue
        yield [key, bytes]
      }
    }
    for (; next < changed.length; next++) yield* this.#changed(changed[next] as string)
  }

  /** The ids of a type that are there, in key order. */
  *idsOf(type: string): Generator<string> {
    const prefix = `${type}/`
    for (const [key] of this.entries(prefix)) yield key.slice(prefix.length)
  }

  /** The state packed anew; it becomes the base, so that the changes since the last time take no memory twice. */
  repack(): readonly Chunk[] {
    if (this.#over.size === 0) return this.#base
    this.#base = [...packChunks(this.entries())]
    this.#over.clear()
    this.#overBytes = 0
    return this.#base
  }

  *#changed(key: string): Generator<readonly [string, Uint8Array]> {
    const bytes = this.#over.get(key)
    if (bytes) yield [key, bytes]
  }

  /** The chunks that may hold keys which begin so. */
  #chunksWith(prefix: string): readonly Chunk[] {
    const first = Math.max(0, this.#chunksUpTo(prefix) - 1)
    const after = this.#base.findIndex(
      ({ firstKey }, at) => at > first && firstKey > prefix && !firstKey.startsWith(prefix),
    )
    return this.#base.slice(first, after < 0 ? undefined : after)
  }

  #chunkFor(key: string): Chunk | undefined {
    return this.#base[this.#chunksUpTo(key) - 1]
  }

  /** How many chunks begin at or before that key. */
  #chunksUpTo(key: string): number {
    let low = 0
    let high = this.#base.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#base[middle] as Chunk).firstKey <= key) low = middle + 1
      else high = middle
    }
    return low
  }
}

const byKey = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function* packChunks(records: Iterable<readonly [string, Uint8Array]>): Generator<Chunk> {
  let flat: unknown[] = []
  let size = 0
  for (const [key, bytes] of records) {
    if (size > 0 && size + key.length + bytes.length > CHUNK_BYTES) {
      yield packChunk(flat)
      flat = []
      size = 0
    }
    flat.push(key, bytes)
    size += key.length + bytes.length
  }
  if (flat.length > 0) yield packChunk(flat)
}

function packChunk(flat: readonly unknown[]): Chunk {
  const packed = zstdCompressSync(encodeCbor(flat), { params: { [constants.ZSTD_c_compressionLevel]: 1 } })
  return { firstKey: flat[0] as string, packed }
}

/** Bounds what one chunk may unfold to, so that damaged or hostile bytes can't take the memory of the process. */
const CHUNK_OPEN_BYTES_MAX = 64 * 1024 * 1024

/** @throws CodedError `bad_bytes` when these are no chunk */
export function openChunk(chunk: Chunk): Map<string, Uint8Array> {
  const known = opened.get(chunk)
  if (known) return known
  const unpacked = unpack(chunk.packed)
  const records = readPairs(decodeCborInPlace(unpacked))
  opened.set(chunk, records, { size: 1 + unpacked.length + records.size * RECORD_OVERHEAD_BYTES })
  return records
}

/** The same for a chunk that is looked at once. @throws CodedError `bad_bytes` */
export const readChunk = (packed: Uint8Array): Map<string, Uint8Array> =>
  readPairs(decodeCborInPlace(unpack(packed)))

/**
 * Some 24 KiB of records, or one that is larger; packed by us, thousands at most. What unfolds to more was made to take the
 * memory of the process: 2 KB of it once took all of it.
 */
const CHUNK_ITEMS_MAX = 200_000

/** The same for a chunk that somebody else may have made. @throws CodedError `bad_bytes` */
export function readForeignChunk(packed: Uint8Array): Map<string, Uint8Array> {
  const unpacked = unpack(packed)
  countCbor(unpacked, CHUNK_ITEMS_MAX)
  return readPairs(decodeCborInPlace(unpacked))
}

function readPairs(flat: unknown): Map<string, Uint8Array> {
  const records = new Map<string, Uint8Array>()
  if (!Array.isArray(flat) || flat.length % 2 !== 0)
    throw new CodedError('bad_bytes', 'open chunk: not a list of pairs')
  for (let at = 0; at < flat.length; at += 2) {
    const key: unknown = flat[at]
    const bytes: unknown = flat[at + 1]
    if (typeof key !== 'string' || !(bytes instanceof Uint8Array))
      throw new CodedError('bad_bytes', 'open chunk: not a record')
    records.set(key, bytes)
  }
  return records
}

function unpack(packed: Uint8Array): Uint8Array {
  try {
    return zstdDecompressSync(packed, { maxOutputLength: CHUNK_OPEN_BYTES_MAX })
  } catch (cause) {
    throw new CodedError('bad_bytes', 'open chunk: not compressed as expected', { cause })
  }
}
