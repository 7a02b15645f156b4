import { pooledRandomBytes } from './random-pool.ts'

/** Dice, so that a simulation can throw the same ones again. */
export interface Random {
  /** In [0, 1). */
  next(): number
  /** A fresh identifier of 16 lower-case letters and digits, for nonces and ids; not a secret. */
  id(): string
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

export const systemRandom: Random = {
  next: () => Math.random(),
  id: () => {
    let id = ''
    for (const byte of pooledRandomBytes(16)) id += ALPHABET[byte & 31]
    return id
  },
}

/** A seeded generator (mulberry32): the same seed gives the same run. For tests and simulations only. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  return { next, id: () => Array.from({ length: 16 }, () => ALPHABET[Math.floor(next() * 32)]).join('') }
}
