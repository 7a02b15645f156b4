import { describe, expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { keyOf, openView, sessionOf, silent, statusOf, viewOf } from '../runner.fixture.ts'
import type { SessionView } from '../session/session-view.ts'
import { HandOver, type DrainSummary } from './hand-over.ts'

const EPOCH = 4
/** How long this runner needs to release a session. */
const RELEASE_MS = 20
const WITHIN_MS = 8_000

/**
 * A runner with `count` connected sessions, of which `s0` was quiet the longest. What is woken is released a little later;
 * the successor, when there is one, connects it `connectMs` after that.
 */
function begin(count: number, world: { successor?: boolean; connectMs?: number } = {}) {
  const { successor = true, connectMs = 100 } = world
  const clock = fakeClock()
  const keys = Array.from({ length: count }, (_, at) => keyOf(`s${at}`))
  const live = new Map<SessionKey, SessionView>()
  // In another order than the one in which they are to leave.
  for (const [at, key] of [...keys.entries()].toReversed())
    live.set(key, viewOf({ connection: openView(), lastActivityAt: at }, key))
  const claimed = new Set<SessionKey>()
  const elsewhere = new Set<SessionKey>()
  let looks = 0
  const left: SessionKey[] = []
  const faults = { store: false, hangs: new Set<SessionKey>(), stuck: new Set<SessionKey>() }
  const interrupted: SessionKey[] = []
  const claiming = { count: 0 }
  let without = 0
  let withoutMax = 0
  const wake = (key: SessionKey): void => {
    if (left.includes(key)) return
    left.push(key)
    if (faults.stuck.has(key)) return
    withoutMax = Math.max(withoutMax, ++without)
    clock.after(RELEASE_MS, () => {
      live.delete(key)
      if (successor) claimed.add(key)
      clock.after(connectMs, () => {
        if (successor) elsewhere.add(key)
        without--
      })
    })
  }
  const handOver = new HandOver({
    clock,
    log: silent,
    live,
    wake,
    interrupt: (key) => interrupted.push(key),
    isClaiming: () => claiming.count > 0,
    epochOf: (key) => (claimed.has(key) ? EPOCH + 1 : EPOCH),
    hasSuccessor: () => successor,
    sessions: {
      get: async (key): Promise<Session> => {
        looks++
        if (faults.hangs.has(key)) await new Promise(() => undefined)
        if (faults.store) throw new CodedError('store_unavailable', 'scripted')
        return sessionOf({ status: statusOf({ epoch: elsewhere.has(key) ? EPOCH + 1 : EPOCH }) })
      },
    },
  })
  const drain = async (mayGoOn: () => boolean = () => true): Promise<DrainSummary> => {
    const drained: DrainSummary[] = []
    void handOver.drain(mayGoOn, WITHIN_MS).then((summary) => drained.push(summary))
    for (let waited = 0; drained.length === 0 && waited < 60_000; waited += 50) await clock.advance(50)
    const [summary] = drained
    if (!summary) throw new Error('the drain did not end')
    return summary
  }
  return {
    clock,
    keys,
    live,
    left,
    faults,
    interrupted,
    claiming,
    handOver,
    drain,
    withoutMax: () => withoutMax,
    looks: () => looks,
  }
}

describe('a drain', () => {
  test('hands everything over, the quiet ones first', async () => {
    const { keys, left, drain, handOver, clock } = begin(30)
    expect(await drain()).toMatchObject({ sessions: 30, left: 0 })
    expect(left).toEqual(keys)
    expect(keys.every((key) => handOver.isLeaving(key))).toBe(true)
    await clock.advance(1_000)
    expect(clock.timers).toBe(0)
  })

  test('gives the successor time to prepare before the first session leaves', async () => {
    const { clock, left, handOver } = begin(10)
    const draining = handOver.drain(() => true, WITHIN_MS)
    await clock.advance(200)
    expect(left).toEqual([])
    await clock.advance(10_000)
    expect(await draining).toMatchObject({ sessions: 10, left: 0 })
  })

  test('keeps few sessions without a socket at once', async () => {
    const { drain, withoutMax } = begin(50, { connectMs: 30 })
    await drain()
    expect(withoutMax()).toBeLessThanOrEqual(4)
  })

  test('lets more go at once when there are many, or when they come up slowly', async () => {
    const many = begin(1_000, { connectMs: 30 })
    await many.drain()
    expect(many.withoutMax()).toBeGreaterThan(4)
    const slow = begin(200, { connectMs: 300 })
    expect((await slow.drain()).durationMs).toBeLessThan(8_000)
    expect(slow.withoutMax()).toBeGreaterThan(4)
  })

  test('goes on with the next as soon as one is connected elsewhere', async () => {
    const fast = await begin(50, { connectMs: 30 }).drain()
    const slow = await begin(50, { connectMs: 300 }).drain()
    expect(fast.durationMs).toBeLessThan(slow.durationMs / 2)
  })

  test('asks the store a few times for each session, and not before it is claimed', async () => {
    const { drain, looks } = begin(30, { connectMs: 300 })
    await drain()
    expect(looks()).toBeGreaterThanOrEqual(30)
    expect(looks()).toBeLessThanOrEqual(30 * 8)
    const alone = begin(30, { successor: false })
    await alone.drain()
    expect(alone.looks()).toBe(0)
  })

  test('lets all go at once when nobody can take them', async () => {
    const { clock, left, handOver } = begin(50, { successor: false })
    const draining = handOver.drain(() => true, WITHIN_MS)
    expect(left).toHaveLength(50)
    await clock.advance(RELEASE_MS + 50)
    expect(await draining).toMatchObject({ sessions: 50, left: 0 })
  })

  test('B5 500 sessions leave in time, though their successor connects none of them', async () => {
    const summary = await begin(500, { connectMs: 60_000 }).drain()
    expect(summary).toMatchObject({ sessions: 500, left: 0 })
    expect(summary.durationMs).toBeLessThan(8_000)
  })

  test('one that is stuck does not hold up the others', async () => {
    const { keys, live, left, faults, handOver, clock } = begin(40)
    faults.stuck.add(keys[0] as SessionKey)
    let mayGoOn = true
    const draining = handOver.drain(() => mayGoOn, WITHIN_MS)
    await clock.advance(5_000)
    expect([...live.keys()]).toEqual([keys[0]])
    expect(left).toHaveLength(40)
    mayGoOn = false
    await clock.advance(50)
    expect(await draining).toMatchObject({ left: 1 })
  })

  test('F21 ends in its time though sessions do not leave, and says how many; what they wait for is ended', async () => {
    const { keys, live, left, faults, interrupted, drain, clock } = begin(40)
    const stuck = keys.slice(0, 10)
    for (const key of stuck) faults.stuck.add(key)
    expect(await drain()).toMatchObject({ sessions: 40, left: 10 })
    expect([...live.keys()].toSorted()).toEqual(stuck.toSorted())
    expect([left.length, interrupted.toSorted()]).toEqual([40, stuck.toSorted()])
    await clock.advance(60_000)
    expect(clock.timers).toBe(0)
  })

  test('F21 a look for a successor that hangs holds up no other session', async () => {
    const { keys, faults, drain } = begin(40)
    for (const key of keys.slice(0, 10)) faults.hangs.add(key)
    const summary = await drain()
    expect(summary).toMatchObject({ sessions: 40, left: 0 })
    expect(summary.durationMs).toBeLessThan(WITHIN_MS)
  })

  test('ends when the lease is lost, and says what is left', async () => {
    const { live, drain, clock } = begin(50, { connectMs: 300 })
    const startMs = clock.monotonicMs()
    const summary = await drain(() => clock.monotonicMs() - startMs < 500)
    expect(summary.left).toBe(live.size)
    expect(summary.left).toBeGreaterThan(0)
    expect(summary.durationMs).toBeLessThan(1_500)
  })

  test('takes along what was claimed in between', async () => {
    const { live, drain, clock, left } = begin(10)
    const late = keyOf('late')
    clock.after(400, () => live.set(late, viewOf({}, late)))
    expect(await drain()).toMatchObject({ sessions: 10, left: 0 })
    expect(left).toContain(late)
  })

  test('waits for a claim that is under way, and takes along what it wins', async () => {
    const { live, drain, clock, left, claiming } = begin(0)
    const late = keyOf('late')
    claiming.count = 1
    clock.after(2_000, () => {
      claiming.count = 0
      live.set(late, viewOf({}, late))
    })
    expect(await drain()).toMatchObject({ left: 0 })
    expect(left).toEqual([late])
  })

  test('goes on without a store that tells of the successor', async () => {
    const { drain, faults } = begin(20)
    faults.store = true
    expect(await drain()).toMatchObject({ sessions: 20, left: 0 })
  })

  test('with nothing to hand over it is done', async () => {
    expect(await begin(0).drain()).toEqual({ sessions: 0, left: 0, durationMs: 0 })
  })
})

describe('a rebalance', () => {
  test('gives one session away, and may have it back later', async () => {
    const { clock, keys, live, left, handOver } = begin(3)
    const [key] = keys as [SessionKey]
    const giving = handOver.give(key)
    expect([handOver.isLeaving(key), left]).toEqual([true, [key]])
    await clock.advance(1_000)
    await giving
    expect([handOver.isLeaving(key), live.has(key), live.size]).toEqual([false, false, 2])
  })
})
