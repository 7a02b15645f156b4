import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from './clock.ts'

const DAY_MS = 86_400_000

/** Node's own timers are stood in for, with their limit: what is set for longer than 2^31 - 1 ms runs after 1 ms. */
beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('a timer of the system clock', () => {
  test.for([[30 * DAY_MS], [50 * DAY_MS], [2 ** 31 - 1], [2 ** 31], [1]])(
    'that is set for %d ms runs then, once, and not before',
    ([ms = 0]) => {
      let runs = 0
      systemClock.after(ms, () => runs++)
      vi.advanceTimersByTime(ms - 1)
      expect(runs).toBe(0)
      vi.advanceTimersByTime(1)
      expect([runs, vi.getTimerCount()]).toEqual([1, 0])
    },
  )

  test('that is never due never runs', () => {
    let runs = 0
    systemClock.after(Infinity, () => runs++)
    vi.advanceTimersByTime(400 * DAY_MS)
    expect(runs).toBe(0)
  })

  test('is cancelled in whichever piece of its wait it is', () => {
    for (const days of [1, 30, 60]) {
      let runs = 0
      const cancel = systemClock.after(61 * DAY_MS, () => runs++)
      vi.advanceTimersByTime(days * DAY_MS)
      cancel()
      cancel()
      expect(vi.getTimerCount()).toBe(0)
      vi.advanceTimersByTime(100 * DAY_MS)
      expect(runs).toBe(0)
    }
  })
})

describe('a sleep of the system clock', () => {
  test('of thirty days lasts thirty days', async () => {
    let isOver = false
    const sleeping = systemClock.sleep(30 * DAY_MS).then(() => (isOver = true))
    await vi.advanceTimersByTimeAsync(30 * DAY_MS - 1)
    expect(isOver).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    await sleeping
    expect(isOver).toBe(true)
  })

  test('ends with its signal, whatever piece it is in', async () => {
    const stop = new AbortController()
    const sleeping = systemClock.sleep(60 * DAY_MS, stop.signal)
    const ended = sleeping.catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(30 * DAY_MS)
    stop.abort()
    expect(await ended).toBe(stop.signal.reason)
    expect(vi.getTimerCount()).toBe(0)
    await expect(systemClock.sleep(1, stop.signal)).rejects.toBe(stop.signal.reason)
    expect(vi.getTimerCount()).toBe(0)
  })
})
