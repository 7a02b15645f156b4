import { describe, expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import type { RunnerId, SessionKey } from '#shared/ids.ts'
import type { Owner, Session, Status } from '#shared/session.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { keyOf, sessionOf, silent, statusOf } from '../runner.fixture.ts'
import type { PreparedState } from '../state/prepared.ts'
import { expectedOf, Preparations } from './preparations.ts'

const ME = 'me' as RunnerId
const OLD = 'old' as RunnerId
const EPOCH = 4

/** `count` sessions of a runner that drains, all of them for this one; each takes 10 ms to prepare. */
function begin(count: number, bytes = 1_000) {
  const clock = fakeClock()
  const keys = Array.from({ length: count }, (_, at) => keyOf(`s${at}`))
  const owners = new Map<SessionKey, Owner>(
    keys.map((key) => [key, { runnerId: OLD, epoch: EPOCH, since: 1, nonce: 'n' }]),
  )
  const world = { mayTake: true, drains: true, broken: new Set<SessionKey>() }
  const begun: SessionKey[] = []
  let atOnce = 0
  let atOnceMax = 0
  const preparations = new Preparations({
    clock,
    log: silent,
    mayTake: () => world.mayTake,
    expected: () =>
      world.drains
        ? keys.flatMap((key) => (owners.get(key)?.runnerId === OLD ? [{ key, epoch: EPOCH }] : []))
        : [],
    ownerOf: (key) => owners.get(key),
    prepare: async (key) => {
      begun.push(key)
      atOnceMax = Math.max(atOnceMax, ++atOnce)
      await clock.sleep(10)
      atOnce--
      if (world.broken.has(key)) throw new CodedError('store_unavailable', 'scripted')
      return { last: { seq: 7 }, bytes } as PreparedState
    },
  })
  const become = (key: SessionKey, runnerId: RunnerId | undefined, epoch: number): void =>
    void owners.set(key, { ...(runnerId ? { runnerId } : {}), epoch, since: 2, nonce: 'n' })
  return {
    clock,
    keys,
    world,
    begun,
    preparations,
    become,
    atOnceMax: () => atOnceMax,
    /** How many are there, by taking them all. */
    taken: () => keys.filter((key) => preparations.take(key)).length,
  }
}

describe('preparations', () => {
  test('are made once of each session, in the order in which they come, a few at a time', async () => {
    const { clock, keys, begun, preparations, taken, atOnceMax } = begin(20)
    preparations.look()
    preparations.look()
    await clock.advance(1_000)
    preparations.look()
    expect(begun).toEqual(keys)
    expect(atOnceMax()).toBe(4)
    expect(taken()).toBe(20)
    expect(taken()).toBe(0)
  })

  test('are bounded in number, and go on when one is taken', async () => {
    const { clock, keys, begun, preparations } = begin(100)
    preparations.look()
    await clock.advance(1_000)
    expect(begun).toHaveLength(64)
    expect(preparations.take(keys[0] as SessionKey)).toBeDefined()
    await clock.advance(1_000)
    expect(begun).toHaveLength(65)
  })

  test('are bounded in memory', async () => {
    const { clock, begun, preparations } = begin(100, 16 * 1024 * 1024)
    preparations.look()
    await clock.advance(1_000)
    expect(begun.length).toBeLessThanOrEqual(8)
  })

  test('wait for a session that was released and not claimed yet', async () => {
    const { clock, keys, become, preparations, taken } = begin(2)
    preparations.look()
    await clock.advance(100)
    for (const key of keys) become(key, undefined, EPOCH)
    preparations.look()
    expect(taken()).toBe(2)
  })

  test('are thrown away when the session goes elsewhere', async () => {
    const { clock, keys, become, preparations, taken } = begin(2)
    preparations.look()
    await clock.advance(100)
    become(keys[0] as SessionKey, 'other' as RunnerId, EPOCH + 1)
    preparations.look()
    expect(taken()).toBe(1)
  })

  test('are not begun of a session that left before its turn came', async () => {
    const { clock, keys, become, begun, preparations } = begin(10)
    preparations.look()
    become(keys[9] as SessionKey, undefined, EPOCH)
    await clock.advance(100)
    expect(begun).toEqual(keys.slice(0, 9))
  })

  test('are thrown away when their owner stops draining', async () => {
    const { clock, world, preparations, taken } = begin(2)
    preparations.look()
    await clock.advance(100)
    world.drains = false
    preparations.look()
    expect(taken()).toBe(0)
  })

  test('are thrown away, those under way too, when this runner takes nothing any more', async () => {
    const { clock, world, begun, preparations, taken } = begin(8)
    preparations.look()
    await clock.advance(15)
    world.mayTake = false
    preparations.look()
    await clock.advance(100)
    expect(begun).toHaveLength(8)
    expect(taken()).toBe(0)
    world.mayTake = true
    preparations.look()
    expect(taken()).toBe(0)
  })

  test('are thrown away when they were not needed for long, and not made again', async () => {
    const { clock, begun, preparations, taken } = begin(2)
    preparations.look()
    await clock.advance(14_000)
    preparations.look()
    await clock.advance(1_100)
    expect(taken()).toBe(0)
    preparations.look()
    await clock.advance(100)
    expect(begun).toHaveLength(2)
  })

  test('that fail are left to the rehydration, and the next ones are made', async () => {
    const { clock, keys, world, preparations, taken } = begin(10)
    world.broken.add(keys[0] as SessionKey)
    preparations.look()
    await clock.advance(100)
    expect(taken()).toBe(9)
    expect(clock.timers).toBe(0)
  })
})

describe('what is expected', () => {
  const session = (name: string, status: Partial<Status> = {}, want: Partial<Session['want']> = {}) =>
    [keyOf(name), sessionOf({ status: statusOf(status), want })] as const
  const sessions = new Map<SessionKey, Session>([
    session('late', { lastActivityAt: 20 }),
    session('early', { lastActivityAt: 10 }),
    session('stopped', {}, { state: 'stopped' }),
    session('backing-off', { phase: 'backing_off' }),
    session('elsewhere'),
    session('free'),
  ])
  const owners = new Map<SessionKey, Owner>(
    [...sessions.keys()].map((key) => {
      const runnerId = key.endsWith('elsewhere') ? ('stays' as RunnerId) : OLD
      return [key, { ...(key.endsWith('free') ? {} : { runnerId }), epoch: EPOCH, since: 1, nonce: 'n' }]
    }),
  )
  const expected = (candidates: string[], me = ME) =>
    expectedOf(
      sessions,
      owners,
      new Set([OLD]),
      candidates.map((id) => ({ id, capacity: 1 })),
      me,
    ).map(({ key }) => key)

  test('is what is connected at a runner that drains, the quiet ones first', () => {
    expect(expected([ME])).toEqual([keyOf('early'), keyOf('late')])
  })

  test('is expected by one runner only', () => {
    const candidates = ['a', 'b', 'c']
    const all = candidates.flatMap((id) => expected(candidates, id as RunnerId))
    expect(all.toSorted()).toEqual([keyOf('early'), keyOf('late')])
  })

  test('is nothing where nobody drains', () => {
    expect(expectedOf(sessions, owners, new Set(), [{ id: ME, capacity: 1 }], ME)).toEqual([])
  })
})
