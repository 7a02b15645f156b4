import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RecordMap } from './record-map.ts'
import { readSnapshot, snapshotParts, verifyChunks, type SnapshotHead } from './snapshot-file.ts'
import { contentOf, KEY, KEY_A, KEY_B, OTHER_KEY, ringOf } from './testing.ts'

const HEAD: SnapshotHead = { key: KEY, epoch: 3, seq: 14 }
const MAC = '00112233445566778899aabbccddeeff'
const ring = ringOf(KEY_A)
const bad = { code: 'bad_bytes' }

const records = new RecordMap()
for (let at = 0; at < 300; at++) records.set(`pre-key/${at}`, Buffer.alloc(400, `${at}`))
const parts = [...snapshotParts({ ...HEAD, mac: MAC }, records.repack(), KEY_A)]
const whole = Buffer.concat(parts)

const read = async (pieces: Iterable<Uint8Array>, head = HEAD) =>
  contentOf(new RecordMap((await readSnapshot(head, pieces, ring.find)).chunks))

function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Uint8Array> {
  let at = 0
  for (const size of sizes) {
    yield bytes.subarray(at, at + size)
    at += size
  }
  yield bytes.subarray(at)
}

describe('a snapshot object', () => {
  test('is read back from pieces of any sizes', async () => {
    expect(parts.length).toBeGreaterThan(8)
    const sizes = fc.array(fc.nat({ max: 3_000 }), { maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(sizes, async (list) => {
        expect(await read(cut(whole, list))).toEqual(contentOf(records))
      }),
      { numRuns: 50 },
    )
    expect(
      await read(
        cut(
          whole,
          Array.from({ length: 2_000 }, () => 1),
        ),
      ),
    ).toEqual(contentOf(records))
  })

  test('of an empty state is read back as one', async () => {
    const empty = [...snapshotParts({ ...HEAD, mac: MAC }, [], KEY_A)]
    expect(await readSnapshot(HEAD, empty, ring.find)).toEqual({ chunks: [], mac: MAC })
  })

  test('every record can be opened once it is verified', async () => {
    expect(verifyChunks((await readSnapshot(HEAD, parts, ring.find)).chunks)).toBe(300)
  })

  test('that ends after any part of it is refused', async () => {
    for (let length = 0; length < parts.length; length++)
      await expect(read(parts.slice(0, length))).rejects.toMatchObject(bad)
  })

  test('that ends after any byte is refused', async () => {
    const length = fc.nat({ max: whole.length - 1 })
    await fc.assert(
      fc.asyncProperty(length, async (to) => {
        await expect(read([whole.subarray(0, to)])).rejects.toMatchObject(bad)
      }),
      { numRuns: 100 },
    )
  })

  test('with anything behind its end is refused', async () => {
    for (const more of [1, 3, 4, 40])
      await expect(read([whole, Buffer.alloc(more)])).rejects.toMatchObject(bad)
  })

  test('with a flipped bit anywhere is refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: whole.length * 8 - 1 }), async (bit) => {
        const flipped = Buffer.from(whole)
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        await expect(read([flipped])).rejects.toMatchObject(bad)
      }),
      { numRuns: 150 },
    )
  })

  test('with frames that were exchanged, doubled or dropped is refused', async () => {
    const [head, ...frames] = parts as [Uint8Array, ...Uint8Array[]]
    const pairs = Array.from({ length: frames.length / 2 }, (_, at) => frames.slice(at * 2, at * 2 + 2))
    const [first = [], second = [], ...rest] = pairs
    for (const order of [
      [second, first, ...rest],
      [first, first, ...rest],
      [first, ...rest],
      [second, ...rest],
      pairs.slice(0, -1),
      [...pairs, first],
    ])
      await expect(read([head, ...order.flat()])).rejects.toMatchObject(bad)
  })

  test.for([
    ['another session', { key: OTHER_KEY }],
    ['another epoch', { epoch: 4 }],
    ['another seq', { seq: 15 }],
  ])('of %s is refused', async ([, other]) => {
    const head = { ...HEAD, ...(other as Partial<SnapshotHead>) }
    await expect(read(parts, head)).rejects.toMatchObject(bad)
    // Even when the plain head is made to fit.
    const forged = [...snapshotParts({ ...head, mac: MAC }, [], KEY_A)][0] as Uint8Array
    await expect(read([forged, ...parts.slice(1)], head)).rejects.toMatchObject(bad)
  })

  test('C7 needs the data key that it was sealed with', async () => {
    await expect(readSnapshot(HEAD, parts, ringOf(KEY_B).find)).rejects.toMatchObject(bad)
    const rotated = await readSnapshot(HEAD, parts, ringOf(KEY_A, KEY_B).find)
    expect(verifyChunks(rotated.chunks)).toBe(300)
  })
})
