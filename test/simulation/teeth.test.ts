import { afterEach, expect, test } from 'vitest'
import type { Faults } from './faults.ts'
import { blameOthers, reconnectOnConflict, renewFromAnswer, skipBarrier, type Bug } from './sabotage.ts'
import { simulate } from './simulation.ts'

/** A bug that is not found within so many worlds could as well be in the product. */
const SEEDS_MAX = 40
const WITHIN_MS = 240_000

let undo: (() => void) | undefined
afterEach(() => {
  undo?.()
  undo = undefined
})

/**
 * The first violation of that kind which the worlds from seed 1 on show. It counts only when the runner without the bug
 * keeps every promise in the same world. `faults` are those under which the bug matters, more often than they are drawn.
 */
async function finds(make: () => Bug, like: RegExp, faults: Partial<Faults>): Promise<number> {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const bug = make()
    undo = bug.undo
    const { violation } = await simulate({ seed, sabotage: bug.sabotage, faults })
    bug.undo()
    if (violation === undefined || !like.test(violation)) continue
    console.log(`seed ${seed}: ${violation}`)
    expect(await simulate({ seed, faults })).not.toHaveProperty('violation')
    return seed
  }
  return Infinity
}

test('finds a skipped barrier', { timeout: WITHIN_MS }, async () => {
  const like = /^anytime_ (no late writer|nothing receipted that is not durable|\S+: entry \d+ of epoch)/
  expect(await finds(skipBarrier, like, { freezeEveryMs: 30_000 })).toBeLessThanOrEqual(SEEDS_MAX)
})

test('finds a lease that is counted from the answer to its renewal', { timeout: WITHIN_MS }, async () => {
  const like = /^anytime_ no socket (outlives its lease|without a lease)/
  const faults = { slow: 0.3, partitionEveryMs: 30_000 }
  expect(await finds(renewFromAnswer, like, faults)).toBeLessThanOrEqual(SEEDS_MAX)
})

test('finds a reconnect after a conflict', { timeout: WITHIN_MS }, async () => {
  const like = /^anytime_ no reconnect after a conflict/
  expect(await finds(reconnectOnConflict, like, { foreignEveryMs: 60_000 })).toBeLessThanOrEqual(SEEDS_MAX)
})

test('finds a conflict that a late login of our own makes', { timeout: WITHIN_MS }, async () => {
  const like = /^anytime_ no conflict with ourselves/
  const faults = { stallLogin: 0.2, cutEveryMs: 15_000 }
  expect(await finds(blameOthers, like, faults)).toBeLessThanOrEqual(SEEDS_MAX)
})
