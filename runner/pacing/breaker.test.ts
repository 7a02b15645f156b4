import { describe, expect, test } from 'vitest'
import { FleetBreaker } from './breaker.ts'

const NOW = 1_000
const MINUTE_MS = 60_000

function begin() {
  let freed = 0
  const breaker = new FleetBreaker(() => freed++)
  return { breaker, freed: () => freed }
}

describe('the breaker of the fleet', () => {
  test('one refused version stops every connect, for a time', () => {
    const { breaker } = begin()
    expect(breaker.stoppedUntilMs).toBe(0)
    expect(breaker.note('outdated', 'a', NOW)).toBe(0)
    expect(breaker.stoppedUntilMs).toBe(NOW + 15 * MINUTE_MS)
    breaker.note('outdated', 'b', NOW + 5)
    expect(breaker.stoppedUntilMs).toBe(NOW + 5 + 15 * MINUTE_MS)
  })

  test('a connection that opened after the refusal frees the way, one from before does not', () => {
    const { breaker, freed } = begin()
    breaker.note('outdated', 'a', NOW)
    breaker.opened(NOW - 1)
    expect(breaker.stoppedUntilMs).toBeGreaterThan(NOW)
    breaker.opened(NOW + 1)
    expect(breaker.stoppedUntilMs).toBe(0)
    expect(freed()).toBe(1)
  })

  test('a person’s word frees the way, and says so once', () => {
    const { breaker, freed } = begin()
    breaker.reset()
    expect(freed()).toBe(0)
    breaker.note('outdated', 'a', NOW)
    breaker.reset()
    breaker.reset()
    expect([breaker.stoppedUntilMs, freed()]).toEqual([0, 1])
  })

  test('five sessions in trouble within ten seconds slow everybody down', () => {
    const { breaker } = begin()
    for (const name of ['a', 'b', 'c', 'd']) expect(breaker.note('trouble', name, NOW)).toBe(0)
    expect(breaker.note('trouble', 'e', NOW + 9_999)).toBe(NOW + 9_999 + 30_000)
    expect(breaker.stoppedUntilMs).toBe(0)
  })

  test('one session in trouble five times is its own trouble', () => {
    const { breaker } = begin()
    for (let time = 0; time < 5; time++) expect(breaker.note('trouble', 'a', NOW + time)).toBe(0)
  })

  test('trouble that is ten seconds old is forgotten', () => {
    const { breaker } = begin()
    for (const name of ['a', 'b', 'c', 'd']) breaker.note('trouble', name, NOW)
    expect(breaker.note('trouble', 'e', NOW + 10_000)).toBe(0)
  })
})
