import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeCbor } from '#shared/cbor.ts'
import { decodeEntry, encodeEntry, ENTRY_KINDS, type EntryBody } from './entry.ts'

const value = fc.uint8Array({ maxLength: 200 }).map((one) => Buffer.from(one))
const name = fc.string({ minLength: 1, maxLength: 20 })
const changes = fc
  .dictionary(name, fc.option(value), { maxKeys: 6, noNullPrototype: true })
  .map((record) => Object.entries(record))
const state = fc.dictionary(name, value, { maxKeys: 6 })
const bad = expect.objectContaining({ code: 'bad_bytes' })

const LONG = Buffer.from(Array.from({ length: 2_000 }, (_, at) => `chain-${at * 7919}`).join(''))
const grown = Buffer.concat([LONG, Buffer.from('one more chain')])
const growth: EntryBody = { kind: 'change', changes: [['session/1.0', grown]] }

/** Bytes that nothing else says anything about, as keys are; the same for the same seed. */
const randomOf = (size: number, seed: number): Buffer =>
  Buffer.concat(
    Array.from({ length: Math.ceil(size / 32) }, (_, at) =>
      createHash('sha256').update(`${seed}/${at}`).digest(),
    ),
  ).subarray(0, size)

/** An entry of one new value, with fields exchanged. */
const made = (more: Record<string, unknown>): Buffer => {
  const v = encodeCbor([Buffer.from('x')])
  return Buffer.concat([
    Buffer.of(2),
    encodeCbor({ k: 'change', n: ['a'], v, x: crc32(Buffer.from('x')), ...more }),
  ])
}

describe('an entry', () => {
  test('that is made by hand is read', () => {
    expect(decodeEntry(made({}), () => undefined).changes).toEqual([['a', Buffer.from('x')]])
  })

  test('of a newer version is not taken for a damaged one', () => {
    const newer = Buffer.from([4, ...encodeEntry(growth, () => LONG).subarray(1)])
    expect(() => decodeEntry(newer, () => LONG)).toThrow(expect.objectContaining({ code: 'newer_format' }))
  })

  test('costs a record that changed in one place, whatever surrounds it, what is new there', () => {
    const old = randomOf(2_000, 1)
    const value = Buffer.concat([old.subarray(0, 900), randomOf(32, 2), old.subarray(932)])
    const encoded = encodeEntry({ kind: 'change', changes: [['a', value]] }, () => old)
    expect(encoded.length).toBeLessThan(80)
    expect(decodeEntry(encoded, () => old).changes).toEqual([['a', value]])
  })

  test('costs a record that changed in two places about what is new in both', () => {
    const old = randomOf(2_000, 1)
    const value = Buffer.concat([randomOf(32, 2), old.subarray(32, 1_900), randomOf(100, 3)])
    const encoded = encodeEntry({ kind: 'change', changes: [['a', value]] }, () => old)
    expect(encoded.length).toBeLessThan(220)
    expect(decodeEntry(encoded, () => old).changes).toEqual([['a', value]])
  })

  test('is read back over what it changes a little, in any places', () => {
    const edit = fc.record({ at: fc.nat(), cut: fc.nat({ max: 30 }), put: fc.uint8Array({ maxLength: 30 }) })
    const olds = fc.array(fc.nat({ max: 600 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(olds, fc.array(edit, { maxLength: 4 }), (sizes, edits) => {
        const old = sizes.map((size, seed) => randomOf(size, seed))
        const changes = old.map((bytes, name) => {
          const value = edits.reduce((whole, { at, cut, put }) => {
            const from = at % (whole.length + 1)
            return Buffer.concat([whole.subarray(0, from), put, whole.subarray(from + cut)])
          }, bytes)
          return [`${name}`, value] as const
        })
        const before = (name: string) => old[Number(name)]
        expect(decodeEntry(encodeEntry({ kind: 'change', changes }, before), before).changes).toEqual(changes)
      }),
      { numRuns: 300 },
    )
  })

  test('is read back over the state that it was written over', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ENTRY_KINDS), changes, state, fc.boolean(), (kind, list, old, clean) => {
        const before = (key: string) => (Object.hasOwn(old, key) ? old[key] : undefined)
        const body: EntryBody = { kind, changes: list, ...(clean ? { clean } : {}) }
        expect(decodeEntry(encodeEntry(body, before), before)).toEqual(body)
      }),
      { numRuns: 200 },
    )
  })

  test('names the snapshot of a jump', () => {
    const jump: EntryBody = { kind: 'jump', changes: [], snapshot: '3-14-abc' }
    expect(
      decodeEntry(
        encodeEntry(jump, () => undefined),
        () => undefined,
      ),
    ).toEqual(jump)
  })

  test('costs a record that grew by a little about what it grew by', () => {
    const small = encodeEntry(growth, () => LONG)
    expect(small.length).toBeLessThan(200)
    expect(encodeEntry(growth, () => undefined).length).toBeGreaterThan(small.length * 10)
  })

  test('costs a group of records about what each of them grew by, however many they are', () => {
    const olds = Array.from({ length: 200 }, (_, at) => randomOf(2_000, at))
    const before = (key: string) => olds[Number(key)]
    const changes = olds.map((old, at) => [`${at}`, Buffer.concat([old, randomOf(40, at + 0.5)])] as const)
    const encoded = encodeEntry({ kind: 'change', changes }, before)
    expect(encoded.length).toBeLessThan(200 * 100)
    expect(decodeEntry(encoded, before).changes).toEqual(changes)
  })

  test('is refused over another state than the one that it was written over', () => {
    const sealed = encodeEntry(growth, () => LONG)
    expect(() => decodeEntry(sealed, () => undefined)).toThrow(bad)
    expect(() => decodeEntry(sealed, () => Buffer.from(LONG.toReversed()))).toThrow(bad)
  })

  test('is read back even over a value that looks like a trained dictionary', () => {
    const old = Buffer.concat([Buffer.from('37a430ec', 'hex'), Buffer.alloc(100, 'abc')])
    const body: EntryBody = { kind: 'change', changes: [['a', Buffer.from('new')]] }
    expect(
      decodeEntry(
        encodeEntry(body, () => old),
        () => old,
      ),
    ).toEqual(body)
  })

  test('a barrier, a reset and a jump stand for themselves, whatever was there', () => {
    for (const kind of ['barrier', 'reset', 'jump'] as const) {
      const body: EntryBody = { kind, changes: growth.changes }
      const encoded = encodeEntry(body, () => LONG)
      expect(decodeEntry(encoded, () => Buffer.from('anything'))).toEqual(body)
    }
  })

  test('any truncation is refused', () => {
    const encoded = encodeEntry(growth, () => LONG)
    for (let length = 0; length < encoded.length; length++)
      expect(() => decodeEntry(encoded.subarray(0, length), () => LONG)).toThrow(bad)
  })

  test.for([
    ['no bytes', Buffer.alloc(0)],
    ['version 0', Buffer.from([0, ...made({}).subarray(1)])],
    ['version 1, which was never released', Buffer.from([1, ...made({}).subarray(1)])],
    ['an unknown kind', made({ k: 'leap' })],
    ['names that are no texts', made({ n: [1] })],
    ['nothing compressed', made({ v: undefined, z: 'x' })],
    ['no map', Buffer.concat([Buffer.of(2), encodeCbor(null)])],
    ['a list of trims that is too short', made({ t: [1] })],
    ['a trim below nothing', made({ t: [-1, 0] })],
    ['a trim of half a byte', made({ t: [0.5, 0] })],
    ['a trim of more than there was', made({ t: [9, 0] })],
    ['another checksum', made({ x: 1 })],
    ['a piece that is a text', made({ v: encodeCbor(['x']) })],
  ])('%s is refused', ([, encoded]) => {
    expect(() => decodeEntry(encoded as Buffer, () => undefined)).toThrow(bad)
  })
})
