import { randomBytes } from 'node:crypto'
import { Curve } from '@whiskeysockets/baileys'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { saysBaileys } from './library.fixture.ts'
import { verifySignatures } from './verified-curve.ts'

const stock = Curve.verify
beforeAll(() => verifySignatures())
afterAll(() => {
  Curve.verify = stock
})

const message = Buffer.from('a certificate')
const signed = () => {
  const pair = Curve.generateKeyPair()
  return { key: pair.public, signature: Curve.sign(pair.private, message) }
}

test('a valid signature holds, whether its key has a type byte or not', () => {
  const { key, signature } = signed()
  expect(Curve.verify(key, message, signature)).toBe(true)
  expect(Curve.verify(Buffer.concat([Buffer.of(5), key]), message, signature)).toBe(true)
})

test('rc14 as it is takes any 64 bytes for a signature', () => {
  expect(stock(signed().key, message, randomBytes(64))).toBe(true)
})

test('rc14 checks the server’s certificate with what is replaced here', () => {
  expect(saysBaileys('Utils/noise-handler.js', ' Curve.verify(')).toBe(2)
})

test('64 random bytes are no signature', () => {
  expect(Curve.verify(signed().key, message, randomBytes(64))).toBe(false)
})

test('a signature of another message, or by another key, does not hold', () => {
  const { key, signature } = signed()
  expect(Curve.verify(key, Buffer.from('another certificate'), signature)).toBe(false)
  expect(Curve.verify(signed().key, message, signature)).toBe(false)
})

test.for<[string, number]>([
  ['short', 63],
  ['long', 65],
  ['empty', 0],
])('a signature that is too %s does not hold', ([, size]) => {
  expect(Curve.verify(signed().key, message, randomBytes(size))).toBe(false)
})

test('a key of the wrong length makes nothing hold', () => {
  const { signature } = signed()
  vi.spyOn(console, 'error').mockReturnValue()
  vi.spyOn(console, 'warn').mockReturnValue()
  expect(Curve.verify(randomBytes(31), message, signature)).toBe(false)
})

test('what was checked once is remembered, good or bad', () => {
  const { key, signature } = signed()
  const forged = randomBytes(64)
  const answers = () => [Curve.verify(key, message, signature), Curve.verify(key, message, forged)]
  expect(answers()).toEqual([true, false])
  const concat = vi.spyOn(Buffer, 'concat')
  expect(answers()).toEqual([true, false])
  // A check puts the type byte before the key; nothing was checked.
  expect(concat).not.toHaveBeenCalled()
})
