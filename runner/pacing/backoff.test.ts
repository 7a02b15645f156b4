import fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoffMs } from './backoff.ts'

test.for([
  [1, 0.999, 999],
  [2, 0.5, 1_000],
  [4, 0.5, 4_000],
  [7, 0.999, 59_940],
  [1_000, 0.999, 59_940],
])('D4 attempt %i with dice %f waits %i ms: the ceiling doubles to a minute', ([attempt, dice, ms]) => {
  expect(backoffMs(attempt as number, dice as number)).toBe(ms)
})

test('a wait is never less than a tenth of a second nor more than a minute', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e6 }),
      fc.double({ min: 0, max: 0.999_999, noNaN: true }),
      (attempt, dice) => {
        const ms = backoffMs(attempt, dice)
        expect(ms).toBeGreaterThanOrEqual(100)
        expect(ms).toBeLessThanOrEqual(60_000)
      },
    ),
  )
})
