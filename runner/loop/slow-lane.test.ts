import { describe, expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { KEY, keyOf, recordedLog } from '../runner.fixture.ts'
import { SlowLane } from './slow-lane.ts'

const WITHIN_MS = 60_000
const away = (): Promise<never> => Promise.reject(new CodedError('store_unavailable', 'scripted'))

/** A lane with two places, and pieces of work that last until a test ends them. */
function begin() {
  const clock = fakeClock()
  const { log, lines } = recordedLog()
  const world = { mayWork: true }
  const woken: SessionKey[] = []
  const lane = new SlowLane({
    name: 'snapshot',
    clock,
    log,
    dice: () => 0.5,
    atOnce: 2,
    withinMs: WITHIN_MS,
    mayWork: () => world.mayWork,
    wake: (key) => woken.push(key),
  })
  const began: SessionKey[] = []
  const ends = new Map<SessionKey, () => void>()
  const signals = new Map<SessionKey, AbortSignal>()
  const offer = (name: string): void => {
    const key = keyOf(name)
    lane.offer(key, (signal) => {
      began.push(key)
      signals.set(key, signal)
      return new Promise((resolve) => ends.set(key, resolve))
    })
  }
  const end = async (name: string): Promise<void> => {
    ends.get(keyOf(name))?.()
    await clock.settle()
  }
  return { clock, lane, lines, world, woken, began, signals, offer, end }
}

describe('slow work', () => {
  test('runs a few pieces at a time, in the order in which they were offered, and tells when one has ended', async () => {
    const { began, woken, offer, end } = begin()
    for (const name of ['a', 'b', 'c', 'd']) offer(name)
    expect(began).toEqual(['a', 'b'].map(keyOf))
    await end('b')
    expect([began, woken]).toEqual([['a', 'b', 'c'].map(keyOf), [keyOf('b')]])
  })

  test('of one session is one piece at a time', async () => {
    const { lane, began, offer, end } = begin()
    offer('a')
    offer('a')
    expect([began.length, lane.isBusy(keyOf('a'))]).toEqual([1, true])
    await end('a')
    expect([began.length, lane.isBusy(keyOf('a'))]).toEqual([1, false])
    offer('a')
    expect(began).toHaveLength(2)
  })

  test('F21 that hangs makes room in the end, and keeps only its own session from having another piece', async () => {
    const { clock, lines, began, signals, offer, end } = begin()
    for (const name of ['hangs', 'hangs too', 'healthy']) offer(name)
    await clock.advance(WITHIN_MS)
    expect(began.at(-1)).toBe(keyOf('healthy'))
    expect([signals.get(keyOf('hangs'))?.aborted, signals.get(keyOf('healthy'))?.aborted]).toEqual([
      true,
      false,
    ])
    await end('healthy')
    await clock.advance(3_600_000)
    offer('hangs')
    expect(began).toHaveLength(3)
    // It ended at last, and its backoff is over.
    await end('hangs')
    offer('hangs')
    expect(began).toHaveLength(4)
    expect(lines.map(({ message, sessionId }) => [message, sessionId])).toEqual(
      ['hangs', 'hangs too'].map((name) => ['slow work failed; it is tried again', keyOf(name)]),
    )
  })

  test('that fails is tried again after a while, each time a longer one, and other sessions meanwhile', async () => {
    const { clock, lane, woken, began, offer } = begin()
    const tries: number[] = []
    const startMs = clock.monotonicMs()
    for (let tick = 0; tick < 600; tick++) {
      lane.offer(KEY, () => {
        tries.push(Math.round((clock.monotonicMs() - startMs) / 1_000))
        return away()
      })
      await clock.advance(1_000)
    }
    expect(tries).toEqual([0, 10, 30, 70, 150, 310])
    expect(woken.length).toBeGreaterThanOrEqual(tries.length)
    offer('healthy')
    expect(began).toEqual([keyOf('healthy')])
  })

  test('that succeeds after a failure waits no longer the next time', async () => {
    const { clock, lane, lines } = begin()
    lane.offer(KEY, away)
    await clock.advance(10_000)
    lane.offer(KEY, async () => undefined)
    await clock.settle()
    lane.offer(KEY, away)
    await clock.settle()
    expect(lines.map(({ retryInMs }) => retryInMs)).toEqual([10_000, 10_000])
    lane.abort()
    expect(clock.timers).toBe(0)
  })

  test('that is refused for good is not tried again soon', async () => {
    const { clock, lane, lines } = begin()
    lane.offer(KEY, () => Promise.reject(new CodedError('store_refused', 'scripted')))
    await clock.settle()
    expect(lines.map(({ retryInMs }) => retryInMs)).toEqual([300_000])
  })

  test('whose session is not ours any more, or that gave way, did not fail', async () => {
    const { clock, lane, lines, woken } = begin()
    for (const code of ['closed', 'fenced', 'lease_lost'] as const) {
      lane.offer(KEY, () => Promise.reject(new CodedError(code, 'scripted')))
      await clock.settle()
    }
    expect([lines, woken.length, clock.timers]).toEqual([[], 3, 0])
  })

  test('F21 is ended at once by a drain, and nothing begins any more until it may again', async () => {
    const { clock, lane, world, lines, began, signals, offer, end } = begin()
    lane.offer(KEY, away)
    await clock.settle()
    for (const name of ['a', 'b', 'c']) offer(name)
    world.mayWork = false
    lane.abort()
    expect(['a', 'b'].map((name) => signals.get(keyOf(name))?.aborted)).toEqual([true, true])
    await end('a')
    await end('b')
    offer('d')
    await clock.advance(3_600_000)
    expect([began.length, clock.timers, lines.length]).toEqual([2, 0, 1])
    world.mayWork = true
    offer('d')
    expect(began.at(-1)).toBe(keyOf('d'))
  })

  test('that was offered before it might not begin any more is forgotten, so that it can be decided anew', async () => {
    const { lane, world, began, offer, end } = begin()
    for (const name of ['a', 'b', 'waits']) offer(name)
    world.mayWork = false
    await end('a')
    expect([lane.isBusy(keyOf('waits')), began.length]).toEqual([false, 2])
  })
})
