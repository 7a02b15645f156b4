import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ENVELOPE_BYTES, macOf, open, seal, sealedWith, type OpenKey } from './envelope.ts'

const KEY: OpenKey = { id: 'key-one1', bytes: new Uint8Array(32).fill(1) }
const TWIN: OpenKey = { id: 'key-two2', bytes: KEY.bytes }
const find = (id: string): OpenKey | undefined => [KEY, TWIN].find((key) => key.id === id)
const AAD = 'acme~s|journal|3|14'
const bad = expect.objectContaining({ code: 'bad_bytes' })
const plaintext = fc.uint8Array({ maxLength: 300 })

describe('an envelope', () => {
  test('C7 opens to what was sealed, and shows nothing of it', () => {
    fc.assert(
      fc.property(plaintext, fc.string(), (bytes, aad) => {
        const sealed = seal(KEY, bytes, aad)
        expect(sealed.length).toBe(bytes.length + ENVELOPE_BYTES)
        expect(open(find, sealed, aad)).toEqual(Buffer.from(bytes))
        if (bytes.length > 8) expect(Buffer.from(sealed).includes(Buffer.from(bytes))).toBe(false)
      }),
      { numRuns: 100 },
    )
  })

  test('says which data key opens it', () => {
    expect(sealedWith(seal(TWIN, Buffer.from('x'), AAD))).toBe('key-two2')
  })

  test('opens from a view into a larger buffer', () => {
    const sealed = seal(KEY, Buffer.from('text'), AAD)
    const padded = new Uint8Array(Buffer.concat([Buffer.alloc(5), sealed, Buffer.alloc(5)]))
    expect(open(find, padded.subarray(5, 5 + sealed.length), AAD).toString()).toBe('text')
  })

  test('any flipped bit is refused', () => {
    const sealed = seal(KEY, Buffer.from('the ratchet'), AAD)
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const flipped = Buffer.from(sealed)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(() => open(find, flipped, AAD)).toThrow(bad)
    }
  })

  test('any truncation, and any byte too many, is refused', () => {
    const sealed = seal(KEY, Buffer.from('the ratchet'), AAD)
    for (let length = 0; length < sealed.length; length++)
      expect(() => open(find, sealed.subarray(0, length), AAD)).toThrow(bad)
    expect(() => open(find, Buffer.concat([sealed, Buffer.of(0)]), AAD)).toThrow(bad)
  })

  test.for([
    ['another session', 'acme~t|journal|3|14'],
    ['another kind', 'acme~s|snapshot|3|14'],
    ['another epoch', 'acme~s|journal|4|14'],
    ['another seq', 'acme~s|journal|3|15'],
  ])('bytes that are replayed at %s are refused', ([, aad]) => {
    expect(() => open(find, seal(KEY, Buffer.from('x'), AAD), aad as string)).toThrow(bad)
  })

  test('two envelopes of one place can’t exchange their parts', () => {
    const one = Buffer.from(seal(KEY, Buffer.from('1111'), AAD))
    const two = Buffer.from(seal(KEY, Buffer.from('2222'), AAD))
    const mixed = Buffer.concat([one.subarray(0, 21), two.subarray(21)])
    expect(() => open(find, mixed, AAD)).toThrow(bad)
  })

  test('the id of the key is bound too, even where two ids name the same key', () => {
    const sealed = Buffer.from(seal(KEY, Buffer.from('x'), AAD))
    sealed.write(TWIN.id, 1, 'latin1')
    expect(() => open(find, sealed, AAD)).toThrow(bad)
  })

  test('has a MAC, which tells it from every other envelope, also of the same text in the same place', () => {
    const sealed = Array.from({ length: 50 }, () => seal(KEY, Buffer.from('x'), AAD))
    const macs = new Set(sealed.map(macOf))
    expect(macs.size).toBe(50)
    for (const mac of macs) expect(mac).toMatch(/^[0-9a-f]{32}$/)
    const [first = new Uint8Array()] = sealed
    const padded = new Uint8Array(Buffer.concat([Buffer.alloc(5), first, Buffer.alloc(5)]))
    expect(macOf(padded.subarray(5, 5 + first.length))).toBe(macOf(first))
  })

  test('an unknown key is named, and nothing is opened', () => {
    const sealed = seal(KEY, Buffer.from('x'), AAD)
    expect(() => open(() => undefined, sealed, AAD)).toThrow(/key-one1/)
  })

  test('never seals the same text to the same bytes', () => {
    const sealed = new Set(
      Array.from({ length: 50 }, () => Buffer.from(seal(KEY, Buffer.from('x'), AAD)).toString('hex')),
    )
    expect(sealed.size).toBe(50)
  })
})
