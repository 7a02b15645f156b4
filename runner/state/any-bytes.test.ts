import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeCbor } from '#shared/cbor.ts'
import { CodedError } from '#shared/errors.ts'
import { decodeEntry, encodeEntry, ENTRY_KINDS } from './entry.ts'
import { openChunk, type Chunk } from './record-map.ts'
import { readSnapshot, snapshotParts } from './snapshot-file.ts'
import { KEY, KEY_A, bytes, ringOf } from './testing.ts'

/**
 * What comes out of a store was sealed by a runner, so only an older or a broken one makes such bytes. They are refused by
 * a code all the same, which is what falls back to an older snapshot; damage by accident is in test/golden/decoding.test.ts.
 */
async function codeOf(decode: () => unknown): Promise<string> {
  try {
    await decode()
    return 'decoded'
  } catch (error) {
    if (error instanceof CodedError) return error.code
    throw error
  }
}

const small = fc.anything({ maxDepth: 2 })
const size = fc.oneof(
  fc.nat(20),
  fc.constantFrom(-1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, Infinity, NaN),
)
const pieces = fc.array(fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.constant(null), small), {
  maxLength: 4,
})
const packed = pieces.map((list) => encodeCbor(list))
/** The fields of an entry, each as it should be, or not quite, or not at all. */
const fields = fc.record(
  {
    k: fc.oneof(fc.constantFrom(...ENTRY_KINDS), small),
    n: fc.oneof(fc.array(fc.constantFrom('pre-key/1', 'creds/', 'x'), { maxLength: 4 }), small),
    t: fc.oneof(fc.array(size, { maxLength: 8 }), small),
    v: fc.oneof(packed, small),
    z: fc.oneof(
      packed.map((list) => zstdCompressSync(list)),
      small,
    ),
    x: fc.oneof(fc.nat(), small),
    s: small,
    c: small,
  },
  { requiredKeys: [] },
)
const before = (key: string) => (key === 'x' ? undefined : bytes(`the value of ${key}`))

describe('F3: an entry', () => {
  test('of any fields is decoded or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(1, 2), fc.oneof(fields, small), async (version, outer) => {
        const entry = Buffer.concat([Buffer.of(version), encodeCbor(outer)])
        expect(['decoded', 'bad_bytes']).toContain(await codeOf(() => decodeEntry(entry, before)))
      }),
      { numRuns: 1_000 },
    )
  })

  test('that was made over another state is refused, or changes nothing else', async () => {
    const value = fc.uint8Array({ minLength: 1, maxLength: 400 })
    await fc.assert(
      fc.asyncProperty(value, value, value, async (mine, theirs, next) => {
        const entry = encodeEntry({ kind: 'change', changes: [['a/1', next]] }, () => mine)
        const code = await codeOf(() => {
          const { changes } = decodeEntry(entry, () => theirs)
          expect(Buffer.from(changes[0]?.[1] ?? []).equals(next)).toBe(true)
        })
        expect(['decoded', 'bad_bytes']).toContain(code)
      }),
      { numRuns: 500 },
    )
  })
})

describe('F3: a snapshot', () => {
  test('of any chunks is opened or refused', async () => {
    const flat = fc.array(fc.oneof(fc.string(), fc.uint8Array({ maxLength: 20 }), small), { maxLength: 6 })
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      flat.map((list) => zstdCompressSync(encodeCbor(list))),
      small,
    )
    const chunks = fc.array(fc.record({ firstKey: fc.oneof(fc.string(), small), packed: content }), {
      maxLength: 3,
    })
    const head = { key: KEY, epoch: 1, seq: 7 }
    await fc.assert(
      fc.asyncProperty(chunks, async (list) => {
        const parts = [...snapshotParts({ ...head, mac: 'ab'.repeat(16) }, list as Chunk[], KEY_A)]
        const code = await codeOf(async () => {
          const { chunks: read } = await readSnapshot(head, parts, ringOf(KEY_A).find)
          for (const chunk of read) openChunk(chunk)
        })
        expect(['decoded', 'bad_bytes']).toContain(code)
      }),
      { numRuns: 500 },
    )
  })
})
