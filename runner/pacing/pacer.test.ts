import { describe, expect, test } from 'vitest'
import { Pacer } from './pacer.ts'

/** Ten a second: one every 100 ms. */
const pacer = (atOnceMax = 100) =>
  new Pacer<string>({ perSecond: 10, atOnceMax, tenantOf: (key) => key.split('~')[0] ?? key })
const named = (tenant: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${tenant}~${index}`)

/** Plays the loop until `untilMs`: each asks when it was told to. Answers who connected, and when. */
function play(
  pace: Pacer<string>,
  keys: readonly string[],
  fromMs: number,
  untilMs: number,
  endsAfterMs = 10,
) {
  const askAtMs = new Map(keys.map((key) => [key, fromMs]))
  const ends: [key: string, atMs: number][] = []
  const connected: [key: string, atMs: number][] = []
  for (let nowMs = fromMs; nowMs <= untilMs; nowMs += 10) {
    for (const [key, endMs] of ends) if (endMs === nowMs) pace.done(key)
    for (const [key, atMs] of askAtMs) {
      if (atMs > nowMs) continue
      const again = pace.admit(key, nowMs)
      askAtMs.set(key, again)
      if (again > 0) continue
      askAtMs.delete(key)
      connected.push([key, nowMs])
      ends.push([key, nowMs + endsAfterMs])
    }
  }
  return connected
}

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

  test('F6: a tenant with many sessions holds another back by one turn', () => {
    const connected = play(pacer(), [...named('many', 300), 'quiet~a', 'quiet~b'], 0, 30_300)
    expect(connected).toHaveLength(302)
    const quiet = connected.filter(([key]) => key.startsWith('quiet'))
    expect(quiet).toEqual([
      ['quiet~a', 200],
      ['quiet~b', 400],
    ])
  })

  test('F6: one that comes late is told to come before those that were told earlier', () => {
    const pace = pacer()
    const told = named('many', 50).map((key) => pace.admit(key, 0))
    expect([told[1], told.at(-1)]).toEqual([100, 4_900])
    expect(pace.admit('quiet~a', 40)).toBe(200)
    expect(pace.admit('many~1', 100)).toBe(0)
    // Its turn comes next, and whoever was told the same time waits for the one after.
    expect(pace.admit('many~2', 200)).toBe(300)
    expect(pace.admit('quiet~a', 200)).toBe(0)
  })

  test('F6: places for connecting go by turn, whoever asks first when one is free', () => {
    const connected = play(pacer(1), [...named('many', 20), 'quiet~a'], 0, 3_000, 300)
    // The first had its place before anybody else asked; then comes one of each.
    expect(connected.findIndex(([key]) => key === 'quiet~a')).toBe(2)
  })

  test('one that does not come back holds nobody up for longer than a second', () => {
    const pace = pacer(1)
    expect(pace.admit('a', 0)).toBe(0)
    expect(pace.admit('gone', 0)).toBe(100)
    pace.done('a')
    const connected = play(pace, ['c'], 10, 3_000)
    expect(connected).toEqual([['c', expect.any(Number)]])
    expect(connected[0]?.[1]).toBeLessThanOrEqual(1_200)
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
