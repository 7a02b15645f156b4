import { expect, test } from 'vitest'
import { pooledRandomBytes } from './random-pool.ts'

test('gives every piece once, also over many fillings, and never changes it afterwards', () => {
  const pieces = Array.from({ length: 5_000 }, () => pooledRandomBytes(12))
  expect(new Set(pieces.map((piece) => piece.toString('hex'))).size).toBe(5_000)
  expect(pieces.every((piece) => piece.length === 12)).toBe(true)
})

test('refuses more than it can hold', () => {
  expect(() => pooledRandomBytes(8_193)).toThrow(/8192/)
})
