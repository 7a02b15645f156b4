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
  test('one refused version stops every connect; after a minute one session tries, and no other', () => {
    const { breaker } = begin()
    expect([breaker.isStopped, breaker.waitsUntilMs(NOW, 'a'), breaker.admit('a', NOW)]).toEqual([
      false,
      0,
      0,
    ])
    expect(breaker.isProbe('a')).toBe(false)
    expect(breaker.note('outdated', 'a', NOW)).toBe(0)
    // Those that were on their way with it are refused with it.
    breaker.note('outdated', 'b', NOW + 5)
    expect(breaker.waitsUntilMs(NOW + 10, 'a')).toBe(NOW + MINUTE_MS)
    const later = NOW + MINUTE_MS
    expect([breaker.admit('a', later), breaker.isProbe('a')]).toEqual([0, true])
    expect(breaker.admit('b', later)).toBe(later + 2 * MINUTE_MS)
    expect([breaker.waitsUntilMs(later, 'a'), breaker.waitsUntilMs(later)]).toEqual([
      0,
      later + 2 * MINUTE_MS,
    ])
  })

  test('each session that tries alone and is refused makes the next wait longer, up to a quarter of an hour', () => {
    const { breaker } = begin()
    let nowMs = NOW
    const waits: number[] = []
    for (let tries = 0; tries < 7; tries++) {
      expect(breaker.admit('a', nowMs)).toBe(0)
      breaker.note('outdated', 'a', nowMs)
      waits.push((breaker.waitsUntilMs(nowMs, 'a') - nowMs) / MINUTE_MS)
      nowMs = breaker.waitsUntilMs(nowMs, 'a')
    }
    expect(waits).toEqual([1, 2, 4, 8, 15, 15, 15])
  })

  test('whoever tried alone and ended without a word about the version leaves the turn to another', () => {
    const { breaker, freed } = begin()
    breaker.note('outdated', 'a', NOW)
    const later = NOW + MINUTE_MS
    breaker.admit('a', later)
    breaker.ended('b')
    expect(breaker.waitsUntilMs(later, 'b')).toBeGreaterThan(later)
    breaker.ended('a')
    expect([breaker.admit('b', later), breaker.isProbe('b'), freed()]).toEqual([0, true, 1])
    // One that hangs holds nobody up for ever.
    expect(breaker.admit('c', later + 2 * MINUTE_MS)).toBe(0)
  })

  test('a connection that was taken after the refusal frees the way for all, one from before does not', () => {
    const { breaker, freed } = begin()
    breaker.note('outdated', 'a', NOW)
    breaker.accepted(NOW - 1)
    expect(breaker.isStopped).toBe(true)
    breaker.accepted(NOW + 1)
    expect([breaker.isStopped, breaker.waitsUntilMs(NOW + 1, 'b'), freed()]).toEqual([false, 0, 1])
  })

  test('a session that a person asks for tries at once, alone', () => {
    const { breaker } = begin()
    breaker.asked('a', NOW)
    expect(breaker.isProbe('a')).toBe(false)
    breaker.note('outdated', 'a', NOW)
    breaker.asked('b', NOW + 1)
    expect([breaker.admit('b', NOW + 1), breaker.isProbe('b')]).toEqual([0, true])
    expect(breaker.waitsUntilMs(NOW + 1, 'a')).toBeGreaterThan(NOW + 1)
  })

  test('five sessions in trouble within ten seconds slow everybody down', () => {
    const { breaker } = begin()
    for (const name of ['a', 'b', 'c', 'd']) expect(breaker.note('trouble', name, NOW)).toBe(0)
    expect(breaker.note('trouble', 'e', NOW + 9_999)).toBe(NOW + 9_999 + 30_000)
    expect(breaker.isStopped).toBe(false)
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
