import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeCbor, decodeCborInPlace, encodeByteStrings, encodeCbor } from './cbor.ts'
import { CodedError } from './errors.ts'

const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false),
    fc.integer(),
    // The library writes -0 as 0, the same number to everything that is stored.
    fc.double({ noNaN: true }).map((value) => value + 0),
    fc.maxSafeInteger(),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.array(tie('value')),
    fc.dictionary(
      fc.string().filter((name) => name !== '__proto__'),
      tie('value'),
      { noNullPrototype: true },
    ),
  ),
})).value

describe('CBOR', () => {
  test('gives back what was put in', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(decodeCbor(encodeCbor(value))).toEqual(value)
      }),
      { numRuns: 200 },
    )
  })

  test('gives bytes back as Buffers of their own, whatever they were taken from', () => {
    const encoded = encodeCbor({ key: new Uint8Array(32).fill(7) })
    for (const source of [encoded, new Uint8Array(encoded)]) {
      const { key } = decodeCbor(source) as { key: Uint8Array }
      expect(Buffer.isBuffer(key)).toBe(true)
      source.fill(0)
      expect(key).toEqual(Buffer.alloc(32, 7))
    }
  })

  test('a list of byte strings is the same bytes as the library makes of it', () => {
    const item = fc.option(fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)))
    const scratch = Buffer.alloc(10_000, 0xff)
    fc.assert(
      fc.property(fc.array(item, { maxLength: 300 }), (list) => {
        expect(encodeByteStrings(list, scratch).equals(encodeCbor(list))).toBe(true)
      }),
      { numRuns: 100 },
    )
    for (const size of [23, 24, 255, 256, 65_535, 65_536])
      expect(encodeByteStrings([Buffer.alloc(size)], scratch).equals(encodeCbor([Buffer.alloc(size)]))).toBe(
        true,
      )
  })

  test('a name that is also the prototype touches no prototype', () => {
    const evil = encodeCbor(JSON.parse('{"__proto__": {"isAdmin": true}}'))
    expect((decodeCbor(evil) as { isAdmin?: boolean }).isAdmin).toBeUndefined()
  })

  test.for([
    ['nothing', ''],
    ['an array that is far longer than its bytes', '9a05f5e100'],
    ['a map that is far longer than its bytes', 'ba7fffffff'],
    ['a byte string that is far longer than its bytes', '5affffffff00'],
    ['an array without an end', '9f0102'],
    ['two values', '0101'],
    ['nesting that would overflow the stack', '81'.repeat(200_000)],
  ])('%s is refused as bad_bytes', ([, hex]) => {
    expect(() => decodeCbor(Buffer.from(hex as string, 'hex'))).toThrow(
      expect.objectContaining({ code: 'bad_bytes' }),
    )
  })

  test('any bytes give a value or bad_bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeCbor(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(CodedError)
          expect((error as CodedError).code).toBe('bad_bytes')
        }
      }),
      { numRuns: 200 },
    )
  })
})

test('bytes are copies, or pieces of the input for who asks for that; Buffers either way', () => {
  const encoded = encodeCbor([Buffer.from('one'), Buffer.from('two')])
  const [copy] = decodeCbor(encoded) as Buffer[]
  const [piece] = decodeCborInPlace(encoded) as Buffer[]
  expect([Buffer.isBuffer(copy), Buffer.isBuffer(piece)]).toEqual([true, true])
  expect([copy, piece]).toEqual([Buffer.from('one'), Buffer.from('one')])
  expect(copy?.buffer).not.toBe(encoded.buffer)
  expect(piece?.buffer).toBe(encoded.buffer)
})
