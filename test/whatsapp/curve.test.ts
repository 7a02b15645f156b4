import { Curve } from '@whiskeysockets/baileys'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { keyPairFrom, newKeyPair, sharedKey, sign, verify } from './curve.ts'

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((raw) => Buffer.from(raw))

test('both sides of an agreement, ours and that of Baileys, derive the same key', () => {
  fc.assert(
    fc.property(bytes(32), (raw) => {
      const [ours, theirs] = [keyPairFrom(raw), Curve.generateKeyPair()]
      const derived = sharedKey(ours.private, theirs.public)
      expect(derived.equals(Curve.sharedKey(theirs.private, ours.public))).toBe(true)
    }),
    { numRuns: 50 },
  )
})

test('signatures of Baileys verify, ours verify, and neither does for another text or key', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (text) => {
      const pair = newKeyPair()
      const other = Buffer.concat([text, Buffer.from('!')])
      for (const signature of [sign(pair, text), Curve.sign(pair.private, text)]) {
        expect(verify(pair.public, text, signature)).toBe(true)
        expect(verify(pair.public, other, signature)).toBe(false)
        expect(verify(newKeyPair().public, text, signature)).toBe(false)
      }
    }),
    { numRuns: 20 },
  )
})
