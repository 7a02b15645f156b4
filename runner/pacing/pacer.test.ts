import { describe, expect, test } from 'vitest'
import { Pacer } from './pacer.ts'

/** Ten a second: one every 100 ms. */
const pacer = (atOnceMax = 100) => new Pacer<string>({ perSecond: 10, atOnceMax })

describe('a pacer', () => {
  test('lets one connect at once and the next ones at its rate, in the order in which they asked', () => {
    const pace = pacer()
    expect(pace.admit('a', 1_000)).toBe(0)
    expect(pace.admit('b', 1_000)).toBe(1_100)
    expect(pace.admit('c', 1_000)).toBe(1_200)
    expect(pace.admit('d', 1_150)).toBe(1_300)
    expect(pace.waiting).toBe(3)
    // Asking again, early or late, keeps the place.
    expect(pace.admit('c', 1_150)).toBe(1_200)
    expect(pace.admit('c', 1_500)).toBe(0)
    expect(pace.admit('b', 1_500)).toBe(0)
  })

  test('saves nothing up while nobody connects', () => {
    const pace = pacer()
    expect(pace.admit('a', 0)).toBe(0)
    expect(pace.admit('b', 60_000)).toBe(0)
    expect(pace.admit('c', 60_000)).toBe(60_100)
  })

  test('answers 0 again for one that connects already', () => {
    const pace = pacer()
    expect([pace.admit('a', 0), pace.admit('a', 1), pace.connecting]).toEqual([0, 0, 1])
  })

  test('bounds how many connect at once, and goes on when one is done', () => {
    const pace = pacer(1)
    expect(pace.admit('a', 0)).toBe(0)
    expect(pace.admit('b', 0)).toBe(100)
    expect(pace.admit('b', 100)).toBe(150)
    pace.done('a')
    expect(pace.admit('b', 150)).toBe(0)
  })

  test('one that gives up leaves no place behind', () => {
    const pace = pacer()
    pace.admit('a', 0)
    pace.admit('b', 0)
    pace.done('b')
    pace.done('never asked')
    expect([pace.waiting, pace.connecting]).toEqual([0, 1])
  })

  test('a session that was handed over waits for no place of the rate, but for the bound', () => {
    const pace = pacer(2)
    expect(pace.admit('a', 0)).toBe(0)
    expect(pace.admit('moved', 0, true)).toBe(0)
    expect(pace.admit('moved too', 0, true)).toBe(50)
    pace.done('a')
    expect(pace.admit('moved too', 50, true)).toBe(0)
    // Neither did it take a place of anybody else's.
    expect(pace.admit('b', 50)).toBe(100)
  })

  test('slows down for a while, by a tenth of its rate', () => {
    const pace = pacer()
    pace.slowUntil(5_000)
    pace.slowUntil(2_000)
    expect(pace.admit('a', 0)).toBe(0)
    expect(pace.admit('b', 0)).toBe(1_000)
    expect(pace.admit('c', 4_999)).toBe(0)
    expect(pace.admit('d', 4_999)).toBe(5_999)
    expect(pace.admit('e', 5_999)).toBe(6_099)
  })
})
