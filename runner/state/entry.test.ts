import { createHash } from 'node:crypto'
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

describe('an entry', () => {
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
    ['another version', Buffer.from([9, ...encodeEntry(growth, () => LONG).subarray(1)])],
    ['an unknown kind', Buffer.concat([Buffer.of(1), encodeCbor({ k: 'leap', n: [], z: Buffer.of() })])],
    [
      'names that are no texts',
      Buffer.concat([Buffer.of(1), encodeCbor({ k: 'reset', n: [1], z: Buffer.of() })]),
    ],
    ['nothing compressed', Buffer.concat([Buffer.of(1), encodeCbor({ k: 'reset', n: [], z: 'x' })])],
    ['no map', Buffer.concat([Buffer.of(1), encodeCbor(null)])],
  ])('%s is refused', ([, encoded]) => {
    expect(() => decodeEntry(encoded as Buffer, () => undefined)).toThrow(bad)
  })
})
