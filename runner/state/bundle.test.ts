import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { exportBundle, openBundle } from './bundle.ts'
import { RecordMap } from './record-map.ts'
import { bytes, contentOf } from './testing.ts'

const CHEAP = { logN: 4, r: 8, p: 1 }
const META = { session: 'the-name-of-it', exportedAt: 1_790_000_000_000 }
const PASSPHRASE = 'correct horse battery staple'

function someRecords(): RecordMap {
  const records = new RecordMap()
  for (let at = 0; at < 200; at++) records.set(`pre-key/${at}`, Buffer.alloc(400, `secret ${at}`))
  return records
}
const exported = async (more: { records?: RecordMap; passphrase?: string } = {}) =>
  Buffer.concat(
    await exportBundle({ records: someRecords(), meta: META, passphrase: PASSPHRASE, cost: CHEAP, ...more }),
  )
const bad = { code: 'bad_import' }

describe('a bundle', () => {
  test('C4 carries a whole state to whoever knows the passphrase, at the real cost', async () => {
    const parts = await exportBundle({ records: someRecords(), meta: META, passphrase: PASSPHRASE })
    const { records, meta } = await openBundle(Buffer.concat(parts), PASSPHRASE)
    expect(meta).toEqual(META)
    expect(contentOf(records)).toEqual(contentOf(someRecords()))
  })

  test('of an empty state is one', async () => {
    const { records } = await openBundle(await exported({ records: new RecordMap() }), PASSPHRASE)
    expect(records.isEmpty).toBe(true)
  })

  test('opens from a view into a larger buffer, and with the passphrase in another Unicode form', async () => {
    const whole = await exported({ passphrase: 'Caf\u00E9' })
    const padded = new Uint8Array(Buffer.concat([Buffer.alloc(3), whole]))
    expect((await openBundle(padded.subarray(3), 'Cafe\u0301')).meta).toEqual(META)
  })

  test('another passphrase is told apart from damage', async () => {
    const whole = await exported()
    await expect(openBundle(whole, `${PASSPHRASE} `)).rejects.toMatchObject({ code: 'wrong_passphrase' })
    await expect(openBundle(whole, '')).rejects.toMatchObject({ code: 'wrong_passphrase' })
  })

  test('any flipped bit is damage, whatever it hits', async () => {
    const whole = await exported()
    const head = fc.nat({ max: 60 * 8 })
    const anywhere = fc.nat({ max: whole.length * 8 - 1 })
    await fc.assert(
      fc.asyncProperty(fc.oneof(head, anywhere), async (bit) => {
        const flipped = Buffer.from(whole)
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        await expect(openBundle(flipped, PASSPHRASE)).rejects.toMatchObject(bad)
      }),
      { numRuns: 150 },
    )
  })

  test('any truncation, and anything behind it, is damage', async () => {
    const whole = await exported()
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: whole.length - 1 }), async (length) => {
        await expect(openBundle(whole.subarray(0, length), PASSPHRASE)).rejects.toMatchObject(bad)
      }),
      { numRuns: 100 },
    )
    await expect(openBundle(Buffer.concat([whole, bytes('more')]), PASSPHRASE)).rejects.toMatchObject(bad)
  })

  test('frames of another bundle of the same passphrase don’t fit', async () => {
    const [one, two] = [await exported(), await exported()]
    const at = 7 + 1 + 3 + 16 + 16 + 8
    const mixed = Buffer.concat([one.subarray(0, at), two.subarray(at)])
    await expect(openBundle(mixed, PASSPHRASE)).rejects.toMatchObject(bad)
  })

  test.for([
    ['too much memory', { logN: 24, r: 8, p: 1 }],
    ['too many rounds', { logN: 10, r: 8, p: 200 }],
    ['a width beyond its memory', { logN: 17, r: 255, p: 1 }],
    ['no rounds', { logN: 10, r: 8, p: 0 }],
    ['parameters that scrypt refuses', { logN: 17, r: 1, p: 1 }],
  ] as const)('a head that asks for %s is refused before anything is spent', async ([, cost]) => {
    await expect(openBundle(await forged(cost), PASSPHRASE)).rejects.toMatchObject(bad)
  })

  test('C7 shows nothing of the state, its keys or its meta', async () => {
    const whole = await exported()
    for (const text of ['secret', 'pre-key', META.session, PASSPHRASE])
      expect(whole.includes(text)).toBe(false)
  })
})

/** A head with a good checksum and hostile costs. */
async function forged(cost: { logN: number; r: number; p: number }): Promise<Buffer> {
  const whole = await exported()
  const at = whole.indexOf(Buffer.of(CHEAP.logN, CHEAP.r, CHEAP.p))
  Buffer.of(cost.logN, cost.r, cost.p).copy(whole, at)
  const end = at + 3 + 16 + 16
  createHash('sha256').update(whole.subarray(0, end)).digest().copy(whole, end, 0, 8)
  return whole
}
