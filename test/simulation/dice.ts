import { seededRandom, type Random } from '#shared/random.ts'

/** FNV-1a: enough to make one seed into many that have nothing to do with each other. */
function mix(seed: number, name: string): number {
  let hash = 2_166_136_261 ^ seed
  for (const letter of name) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 16_777_619)
  return hash >>> 0
}

/**
 * The dice of one part of a simulation. Every part has its own, made from the seed and its name, so that one part that
 * throws once more does not change the luck of all others.
 */
export class Dice {
  readonly random: Random
  readonly #seed: number

  constructor(seed: number, name = '') {
    this.#seed = mix(seed, name)
    this.random = seededRandom(this.#seed)
  }

  for(name: string): Dice {
    return new Dice(this.#seed, name)
  }

  chance(probability: number): boolean {
    return this.random.next() < probability
  }

  /** In [min, max). */
  between(min: number, max: number): number {
    return min + this.random.next() * (max - min)
  }

  whole(min: number, max: number): number {
    return Math.floor(this.between(min, max + 1))
  }

  pick<T>(list: readonly T[]): T {
    const found = list[Math.floor(this.random.next() * list.length)]
    if (found === undefined) throw new Error('nothing to pick from')
    return found
  }

  /** How long until the next of events that come every `meanMs` on average. */
  waitMs(meanMs: number): number {
    return -Math.log(1 - this.random.next()) * meanMs
  }
}
