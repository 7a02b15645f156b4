import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { open } from '#shared/envelope.ts'
import type { SessionKey } from '#shared/ids.ts'
import { openBundle } from '#runner/state/bundle.ts'
import type { KeyRing } from '#runner/state/data-keys.ts'
import { followsOf, openEntry } from '#runner/state/sealed-entry.ts'
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
const read = (name: string) => readSnapshot(noted.place, [golden.read(name)], ring.find)
const snapshot = async () => new RecordMap((await read('snapshot-v1.bin')).chunks)
const entry = (name: string) => ({
  seq: noted.place.seq,
  epoch: noted.place.epoch,
  nonce: 'n',
  sealed: golden.read(name),
})

describe('bytes that were written once load for ever', () => {
  test.for([
    ['entry-v2.bin', { unchained: true }, undefined],
    ['first-v3.bin', {}, undefined],
    ['entry-v3.bin', {}, golden.follows],
  ] as const)('an entry, over the state before it: %s', async ([name, chain, follows]) => {
    const { changes, ...rest } = openEntry(noted.place.key, entry(name), ring, await snapshot())
    expect(rest).toEqual({ kind: 'change', ...chain })
    expect(values(changes)).toEqual(values(golden.change.changes))
    expect(followsOf(entry(name))).toBe(follows)
  })

  test('the entry that begins the chain lies where a Mooring of before looks, and says that it is newer', () => {
    const { key: session, epoch, seq } = noted.place
    const bytes = open(ring.find, golden.read('first-v3.bin'), `${session}|journal|${epoch}|${seq}`)
    expect(bytes[0]).toBe(3)
  })

  test.for([
    ['jump-v2.bin', { unchained: true }],
    ['jump-v3.bin', {}],
  ] as const)('a jump, over nothing: %s', ([name, chain]) => {
    const jump = openEntry(noted.place.key, entry(name), ring, new RecordMap())
    expect(jump).toEqual({ ...golden.jump, ...chain })
  })

  test.for([
    ['snapshot-v1.bin', undefined],
    ['snapshot-v2.bin', golden.mac],
  ] as const)('a snapshot: %s', async ([name, mac]) => {
    const content = await read(name)
    expect(content.chunks.length).toBeGreaterThan(1)
    expect(values(new RecordMap(content.chunks).entries())).toEqual(expected)
    expect(content.mac).toBe(mac)
  })

  test('a bundle', async () => {
    const { records, meta } = await openBundle(golden.read('bundle-v1.bin'), noted.passphrase)
    expect(values(records.entries())).toEqual(expected)
    expect(meta).toEqual(golden.meta)
  })

  test.for([
    ['entry-v2.bin', 'f014b0ad11e059a7c6505a3c7cb38a5e42aa3e4337cbe302ec910cda3be1917f'],
    ['first-v3.bin', '8512fa850355b0a5e0d4e081b23896c84b00efe35317356f10f806029b1860ae'],
    ['entry-v3.bin', 'e3ec1894a25fcd8ea7e2257026efbb38ccea2aaeb0fe7b2c6300e393b108c42c'],
    ['jump-v3.bin', 'ae913d824cfe66297e5204216a0365e803fb186343bf0f333efdb82ab6c5a7a8'],
    ['snapshot-v2.bin', '9d967435518438270d4c7942c9e0fb1395bd73de663441c708f706cb7d588c29'],
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
