import { describe, expect, test } from 'vitest'
import { runner } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { keyOf, recordedLog } from '../runner.fixture.ts'
import { Draining } from './draining.ts'

/** A runner with two sessions, and what its drain has done to it. `leave` lets the hand-over end. */
function begin() {
  const clock = fakeClock()
  const { log, lines } = recordedLog()
  const lease = {
    id: runner('me'),
    isGood: true,
    draining: false,
    drain: async () => {
      lease.draining = true
      seen.announced++
    },
  }
  const live = new Set([keyOf('a'), keyOf('b')])
  const seen = { announced: 0, stays: 0, lookedAtAll: 0, ended: 0, gateShut: false, aborted: 0 }
  const lane = { abort: () => seen.aborted++ }
  let gone = Promise.withResolvers<void>()
  const draining = new Draining(
    {
      clock,
      log,
      lease,
      live,
      gate: { interrupt: (isShut) => (seen.gateShut = isShut) },
      preparations: { look: () => undefined },
      snapshots: lane,
      unlinking: lane,
      unlinkingRemoved: lane,
    },
    {
      handOver: {
        drain: async (mayGoOn) => {
          gone = Promise.withResolvers()
          const sessions = live.size
          await gone.promise
          if (mayGoOn()) live.clear()
          return { sessions, left: live.size, durationMs: 1 }
        },
        stay: () => seen.stays++,
      },
      look: async () => undefined,
      takenBack: () => seen.lookedAtAll++,
      drained: () => seen.ended++,
    },
  )
  const ask = (draining: boolean): void => void (lease.draining = draining)
  const handOverEnds = async (): Promise<void> => {
    await clock.advance(10)
    gone.resolve()
    await clock.advance(10)
  }
  return { draining, ask, handOverEnds, seen, lines, live }
}

describe('a drain that was asked for through the store', () => {
  test('hands over, and then has the process ended', async () => {
    const { draining, ask, handOverEnds, seen, live } = begin()
    draining.heed()
    expect(draining.isUnderWay).toBe(false)
    ask(true)
    draining.heed()
    draining.heed()
    expect(draining.isUnderWay).toBe(true)
    await handOverEnds()
    expect([live.size, draining.isUnderWay]).toEqual([0, true])
    // The store knows already who drains.
    expect(seen).toEqual({ announced: 0, stays: 0, lookedAtAll: 0, ended: 1, gateShut: true, aborted: 3 })
  })

  test('is taken back while it lasts: what is here stays, and everything is looked at anew', async () => {
    const { draining, ask, handOverEnds, seen, live } = begin()
    ask(true)
    draining.heed()
    ask(false)
    await handOverEnds()
    expect([live.size, draining.isUnderWay]).toEqual([2, false])
    expect(seen).toMatchObject({ stays: 1, lookedAtAll: 1, ended: 0, gateShut: false })
  })

  test('asked for again while it was taken back begins anew', async () => {
    const { draining, ask, handOverEnds, seen } = begin()
    ask(true)
    draining.heed()
    ask(false)
    await handOverEnds()
    ask(true)
    draining.heed()
    await handOverEnds()
    expect([seen.ended, draining.isUnderWay]).toEqual([1, true])
  })

  test('is the process’s own once that ends, and can’t be taken back any more', async () => {
    const { draining, ask, handOverEnds, seen, live } = begin()
    ask(true)
    draining.heed()
    const summary = draining.begin()
    ask(false)
    await handOverEnds()
    expect(await summary).toMatchObject({ sessions: 2, left: 0 })
    expect([live.size, draining.isUnderWay]).toEqual([0, true])
    // Who called it knows; nobody has to be told to end.
    expect(seen).toMatchObject({ announced: 1, stays: 0, ended: 0 })
  })
})

describe('a drain of a process that ends', () => {
  test('is announced, done once, and waited for by whoever repeats it', async () => {
    const { draining, handOverEnds, seen } = begin()
    const first = draining.begin()
    await handOverEnds()
    expect(await draining.begin()).toEqual(await first)
    expect(seen).toMatchObject({ aborted: 3, ended: 0 })
  })

  test('announces nothing after the runner has ended: a record that was removed stays so', async () => {
    const { draining, handOverEnds, seen } = begin()
    void draining.begin()
    await handOverEnds()
    const before = seen.announced
    draining.over()
    await draining.begin()
    expect(seen.announced).toBe(before)
  })
})
