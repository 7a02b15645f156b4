import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { SessionKey } from '#shared/ids.ts'
import { openBundle } from '#runner/state/bundle.ts'
import type { KeyRing } from '#runner/state/data-keys.ts'
import { openEntry } from '#runner/state/journal.ts'
import { decodeValue } from '#runner/state/record.ts'
import { RecordMap } from '#runner/state/record-map.ts'
import { readSnapshot } from '#runner/state/snapshot-file.ts'
import { golden } from './golden.ts'

/** The key and the place are read from the file, so that not even a change of `golden.ts` could hide a break. */
const noted = JSON.parse(golden.read('golden-v1.json').toString()) as {
  place: { key: SessionKey; epoch: number; seq: number }
  dataKey: { id: string; hex: string }
  passphrase: string
}
const key = { id: noted.dataKey.id, bytes: Buffer.from(noted.dataKey.hex, 'hex') }
const ring: KeyRing = { current: key, find: (id) => (id === key.id ? key : undefined), ids: [key.id] }

/** Values rather than bytes: the encoder may change, as long as what it once wrote means the same. */
const values = (records: Iterable<readonly [string, Uint8Array | null]>) =>
  Object.fromEntries([...records].map(([name, value]) => [name, value && decodeValue(value)]))
const expected = values(Object.entries(golden.state))
const snapshot = async () =>
  new RecordMap(await readSnapshot(noted.place, [golden.read('snapshot-v1.bin')], ring.find))
const entry = (name: string) => ({
  seq: noted.place.seq,
  epoch: noted.place.epoch,
  nonce: 'n',
  sealed: golden.read(name),
})

describe('bytes that were written once load for ever', () => {
  test('an entry, over the state before it', async () => {
    const { changes, ...rest } = openEntry(noted.place.key, entry('entry-v2.bin'), ring, await snapshot())
    expect(rest).toEqual({ kind: 'change' })
    expect(values(changes)).toEqual(values(golden.change.changes))
  })

  test('a jump, over nothing', () => {
    expect(openEntry(noted.place.key, entry('jump-v2.bin'), ring, new RecordMap())).toEqual(golden.jump)
  })

  test('a snapshot', async () => {
    const chunks = await readSnapshot(noted.place, [golden.read('snapshot-v1.bin')], ring.find)
    expect(chunks.length).toBeGreaterThan(1)
    expect(values((await snapshot()).entries())).toEqual(expected)
  })

  test('a bundle', async () => {
    const { records, meta } = await openBundle(golden.read('bundle-v1.bin'), noted.passphrase)
    expect(values(records.entries())).toEqual(expected)
    expect(meta).toEqual(golden.meta)
  })

  test.for([
    ['entry-v2.bin', 'f014b0ad11e059a7c6505a3c7cb38a5e42aa3e4337cbe302ec910cda3be1917f'],
    ['jump-v2.bin', '542320872b796ccd3685ee9f633db920c38321b9f1827cdf2c6a16e07a806a4e'],
    ['snapshot-v1.bin', 'ff319414b981c0059ce28ece66afa593170d9933b353623b2139c456cebf7d92'],
    ['bundle-v1.bin', 'b0576a21121d4efd48a857203467f5acce79d4083791f82b5b9e856c90aec5e2'],
  ])('%s is the file that was made once', ([name, sum]) => {
    const digest = createHash('sha256')
      .update(golden.read(name as string))
      .digest('hex')
    expect(digest).toBe(sum)
  })
})
