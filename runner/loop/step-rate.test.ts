import { describe, expect, test } from 'vitest'
import { StepRate, type Outside } from './step-rate.ts'

const calm: Outside = { word: '1', event: undefined }

/** Takes a step whenever it may, for this long; a step takes a millisecond. Answers when each was taken. */
function spin(rate: StepRate<string>, forMs: number, from = 0, outside = calm, inHaste = false): number[] {
  const taken: number[] = []
  for (let nowMs = from; nowMs < from + forMs; nowMs++) {
    if (nowMs < rate.mayAtMs('a', outside, nowMs, inHaste)) continue
    taken.push(nowMs)
    rate.took('a', outside, nowMs)
  }
  return taken
}

describe('F1 steps of one session', () => {
  test('are free at first, and then further and further apart', () => {
    const taken = spin(new StepRate(), 120_000)
    const gaps = taken.slice(1).map((at, index) => at - (taken[index] ?? 0))
    expect(gaps).toEqual(
      [...Array.from({ length: 15 }, () => 1), 1, 2, 4, 8, 16, 30, 30].map((gap, index) =>
        index < 15 ? gap : gap * 1_000,
      ),
    )
  })

  test('are told of once, when they begin to be slowed down', () => {
    const rate = new StepRate<string>()
    const told = Array.from({ length: 40 }, (_, at) => rate.took('a', calm, at)).filter(Boolean)
    expect(told).toEqual([16])
  })

  test('that come one a second are never slowed down', () => {
    const rate = new StepRate<string>()
    for (let nowMs = 0; nowMs < 300_000; nowMs += 1_000) {
      expect(rate.mayAtMs('a', calm, nowMs, false)).toBeLessThanOrEqual(nowMs)
      rate.took('a', calm, nowMs)
    }
  })

  test.for<[what: string, outside: Outside]>([
    ['a word of a person', { word: '2', event: undefined }],
    ['an event of a kind that was not seen yet', { word: '1', event: 'open' }],
  ])('begin anew with %s', ([, outside]) => {
    const rate = new StepRate<string>()
    spin(rate, 10_000)
    expect(rate.mayAtMs('a', calm, 10_000, false)).toBeGreaterThan(10_000)
    expect(rate.mayAtMs('a', outside, 10_000, false)).toBe(0)
    expect(rate.stepsOf('a')).toBe(0)
  })

  test('do not begin anew with events that take turns', () => {
    const rate = new StepRate<string>()
    let steps = 0
    for (let nowMs = 0; nowMs < 30_000; nowMs++) {
      const outside = { word: '1', event: nowMs % 2 === 0 ? 'open' : 'closed: lost' }
      if (nowMs < rate.mayAtMs('a', outside, nowMs, false)) continue
      rate.took('a', outside, nowMs)
      steps++
    }
    expect(steps).toBeLessThan(30)
  })

  test('begin anew after a while without any', () => {
    const rate = new StepRate<string>()
    spin(rate, 120_000)
    expect(rate.mayAtMs('a', calm, 200_000, false)).toBe(0)
    rate.tidy(200_000)
    expect(rate.stepsOf('a')).toBe(0)
  })

  test('on their way to another runner wait a moment at the most, and never none', () => {
    const rate = new StepRate<string>()
    spin(rate, 60_000)
    expect(spin(rate, 1_000, 60_000, calm, true)).toHaveLength(4)
  })

  test('wait as long as one that failed asks for, and another session does not', () => {
    const rate = new StepRate<string>()
    rate.took('a', calm, 0, 250)
    expect([rate.mayAtMs('a', calm, 0, false), rate.mayAtMs('b', calm, 0, false)]).toEqual([250, 0])
  })
})
