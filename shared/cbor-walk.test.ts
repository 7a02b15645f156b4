import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { countCbor } from './cbor-walk.ts'
import { decodeCbor, encodeCbor } from './cbor.ts'

const bad = expect.objectContaining({ code: 'bad_bytes' })
const MANY = 1_000_000

describe('counting the items of CBOR', () => {
  test.for<[value: unknown, items: number]>([
    [0, 1],
    [-1e9, 1],
    [1.5, 1],
    ['text', 1],
    [Buffer.alloc(300), 1],
    [[], 1],
    [[1, [2, 'x']], 5],
    [{ a: 1, b: { c: null } }, 7],
    [[2n ** 70n, new Date(0), true, undefined], 7],
  ])('finds in value %# as many as there are', ([value, items]) => {
    expect(countCbor(encodeCbor(value), MANY)).toBe(items)
    expect(countCbor(encodeCbor(value), items)).toBe(items)
    expect(() => countCbor(encodeCbor(value), items - 1)).toThrow(bad)
  })

  test('takes whatever our encoder writes of values that are stored', () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        fc.string(),
        fc.double(),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        fc.array(tie('any')),
        fc.dictionary(fc.string(), tie('any')),
      ),
    })).any
    fc.assert(
      fc.property(value, (any) => {
        expect(countCbor(encodeCbor(any), MANY)).toBeGreaterThan(0)
      }),
    )
  })

  test.for<[what: string, bytes: number[]]>([
    ['nothing', []],
    ['two items', [0, 0]],
    ['a text that is cut off', [0x63, 0x61]],
    ['a list that is cut off', [0x82, 0]],
    ['a length that is cut off', [0x1b, 0, 0]],
    ['a list of 2^64 items', [0x9b, 255, 255, 255, 255, 255, 255, 255, 255]],
    ['a text of 2^64 bytes', [0x7b, 255, 255, 255, 255, 255, 255, 255, 255]],
    ['a list without a length', [0x9f, 0xff]],
    ['a record definition (tag 105)', [0xd8, 0x69, 0x80]],
    ['a shared reference (tag 28)', [0xd8, 0x1c, 0x80]],
  ])('F3: refuses %s', ([, bytes]) => {
    expect(() => countCbor(Buffer.from(bytes), MANY)).toThrow(bad)
  })

  test('F3: ends with any bytes, and what it lets pass the decoder takes or refuses', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          countCbor(bytes, 50)
          decodeCbor(bytes)
        } catch (error) {
          expect(error).toEqual(bad)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test('F3: a list in a list in a list does not end the process', () => {
    const deep = Buffer.concat([Buffer.alloc(200_000, 0x81), Buffer.of(0x80)])
    expect(countCbor(deep, MANY)).toBe(200_001)
    expect(() => decodeCbor(deep)).toThrow(bad)
  })
})
