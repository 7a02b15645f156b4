import { describe, expect, test } from 'vitest'
import { CodedError, type ErrorCode } from '#shared/errors.ts'
import type { RunnerId } from '#shared/ids.ts'
import { seededRandom } from '#shared/random.ts'
import type { RunnerStore } from '#shared/store/runner-store.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { memory, silent } from '../runner.fixture.ts'
import { RunnerLease, type LeaseTimes } from './lease.ts'

const ME = 'runner-1' as RunnerId
const TIMES: LeaseTimes = { renewEveryMs: 2_500, renewWithinMs: 6_500, leaseForMs: 10_000 }
/** The longest that one renewal may follow the other. */
const PERIOD_MAX_MS = 3_000

const fault = (code: ErrorCode) => ({ kind: 'fail_before', error: new CodedError(code, 'scripted') }) as const

function begin(script: Script<RunnerStore> = {}) {
  const clock = fakeClock()
  const { db, stores } = memory(clock)
  const { runners } = stores
  const sentMs: number[] = []
  const counted: RunnerStore = {
    ...runners,
    renew: (record) => {
      sentMs.push(clock.monotonicMs())
      return runners.renew(record)
    },
  }
  const lease = new RunnerLease({
    store: faulty(counted, script),
    clock,
    random: seededRandom(1),
    log: silent,
    id: ME,
    times: TIMES,
    facts: { capacity: 5, version: '1.2.3', held: () => 2 },
  })
  /** What was true at every change that was told. */
  const told: { atMs: number; good: boolean; draining: boolean }[] = []
  const changed = (): void =>
    void told.push({ atMs: clock.monotonicMs(), good: lease.isGood, draining: lease.draining })
  const startMs = clock.monotonicMs()
  return {
    clock,
    db,
    runners,
    lease,
    told,
    changed,
    sentMs,
    startMs,
    script,
    record: () => db.runners.get(ME),
  }
}

describe('a lease', () => {
  test('is not good before it was renewed, and is good afterwards', async () => {
    const { lease, changed, record } = begin()
    expect([lease.isGood, lease.leftMs]).toEqual([false, 0])
    await lease.start(changed)
    expect([lease.isGood, lease.leftMs]).toEqual([true, TIMES.renewWithinMs])
    expect(record()).toMatchObject({ beat: 1, leaseForMs: 10_000, capacity: 5, held: 2, version: '1.2.3' })
    await lease.end()
  })

  test('counts from before the renewal was sent', async () => {
    const { clock, lease, changed, script } = begin()
    script.renew = [{ kind: 'delay', when: 'after', until: clock.sleep(1_000) }]
    const started = lease.start(changed)
    await clock.advance(1_000)
    await started
    expect(lease.leftMs).toBe(TIMES.renewWithinMs - 1_000)
    await lease.end()
  })

  test('is renewed on time, spread by the jitter, and stays good', async () => {
    const { clock, lease, changed, sentMs, told } = begin()
    await lease.start(changed)
    await clock.advance(60_000)
    const gaps = sentMs.slice(1).map((ms, at) => ms - Number(sentMs[at]))
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(TIMES.renewEveryMs / 1.2)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(PERIOD_MAX_MS)
    expect(new Set(gaps).size).toBeGreaterThan(10)
    expect([lease.isGood, told]).toEqual([true, []])
    await lease.end()
  })

  test('E7 is lost when its time is over, and that is told at that moment', async () => {
    const { clock, lease, changed, script, told, sentMs } = begin()
    await lease.start(changed)
    script.renew = fault('store_unavailable')
    await clock.advance(TIMES.renewWithinMs - 1)
    expect([lease.isGood, told]).toEqual([true, []])
    await clock.advance(2)
    expect(lease.isGood).toBe(false)
    expect(told).toMatchObject([{ good: false }])
    expect(Number(told[0]?.atMs) - Number(sentMs[0])).toBeLessThanOrEqual(TIMES.renewWithinMs + 1)
    await lease.end()
  })

  test('E7 is lost on time although a renewal hangs', async () => {
    const { clock, lease, changed, script, told, startMs } = begin()
    await lease.start(changed)
    const never = Promise.withResolvers<void>()
    script.renew = [{ kind: 'delay', until: never.promise }]
    await clock.advance(TIMES.renewWithinMs + 1)
    expect(told).toMatchObject([{ good: false, atMs: expect.closeTo(startMs + TIMES.renewWithinMs, -1) }])
    never.resolve()
    await clock.settle()
    await lease.end()
  })

  test('a renewal that takes longer than the lease is good for counts as none', async () => {
    const { clock, lease, changed, script, told } = begin()
    await lease.start(changed)
    const slow = Promise.withResolvers<void>()
    script.renew = [{ kind: 'delay', when: 'after', until: slow.promise }]
    await clock.advance(PERIOD_MAX_MS + TIMES.renewWithinMs)
    slow.resolve()
    await clock.settle()
    expect(lease.isGood).toBe(false)
    expect(told).toMatchObject([{ good: false }])
    await clock.advance(PERIOD_MAX_MS)
    expect(told).toMatchObject([{ good: false }, { good: true }])
    await lease.end()
  })

  test('B5 is regained soon after the store is back, and that is told', async () => {
    const { clock, lease, changed, script, told } = begin()
    await lease.start(changed)
    script.renew = fault('store_unavailable')
    await clock.advance(60_000)
    delete script.renew
    await clock.advance(TIMES.renewEveryMs / 2)
    expect(lease.isGood).toBe(true)
    expect(told).toMatchObject([{ good: false }, { good: true }])
    await lease.end()
  })

  test('E7 whoever wakes up late hears of the loss before a renewal makes it good again', async () => {
    const { clock, lease, changed, script, told } = begin()
    await lease.start(changed)
    const { term } = lease
    // A frozen process: the renewal that was under way comes back together with everything else.
    const frozen = Promise.withResolvers<void>()
    script.renew = [{ kind: 'delay', until: frozen.promise }, fault('store_unavailable')]
    await clock.advance(2 * TIMES.leaseForMs)
    frozen.resolve()
    await clock.advance(PERIOD_MAX_MS)
    expect(told).toMatchObject([{ good: false }, { good: true }])
    expect(lease.term).toBe(term + 1)
    await lease.end()
  })

  test('one renewal that fails is no loss', async () => {
    const { clock, lease, changed, script, told } = begin()
    await lease.start(changed)
    const { term } = lease
    script.renew = [fault('store_unavailable')]
    await clock.advance(60_000)
    expect([lease.isGood, lease.term, told]).toEqual([true, term, []])
    await lease.end()
  })

  test('one renewal that takes long to fail is no loss: the next is sent soon after it', async () => {
    const { clock, lease, changed, script, sentMs, startMs } = begin()
    await lease.start(changed)
    const failing = Promise.withResolvers<never>()
    script.renew = [{ kind: 'delay', until: failing.promise }]
    await clock.advance(PERIOD_MAX_MS + 2_000)
    expect(sentMs).toHaveLength(1)
    failing.reject(new CodedError('store_unavailable', 'scripted'))
    await clock.settle()
    await clock.advance(TIMES.renewEveryMs / 4)
    expect(sentMs).toHaveLength(2)
    expect(Number(sentMs[1]) - startMs).toBeLessThan(TIMES.renewWithinMs)
    expect(lease.isGood).toBe(true)
    await lease.end()
  })

  test('tells the least that was left when it was renewed, since it was asked last', async () => {
    const { clock, lease, changed, script } = begin()
    await lease.start(changed)
    expect(lease.takeMarginMs()).toBeUndefined()
    await clock.advance(20_000)
    const usual = Number(lease.takeMarginMs())
    expect(usual).toBeGreaterThanOrEqual(TIMES.renewWithinMs - PERIOD_MAX_MS)
    script.renew = [fault('store_unavailable')]
    await clock.advance(20_000)
    expect(lease.takeMarginMs()).toBeLessThan(usual)
    expect(lease.takeMarginMs()).toBeUndefined()
    await lease.end()
  })

  test('a record that somebody removed ends this life, and a new one begins', async () => {
    const { clock, runners, lease, changed, told, record } = begin()
    await lease.start(changed)
    await clock.advance(10_000)
    expect(record()?.beat).toBeGreaterThan(1)
    await runners.remove(ME)
    await clock.advance(2 * PERIOD_MAX_MS)
    expect(told).toMatchObject([{ good: false }, { good: true }])
    expect(record()?.beat).toBeLessThan(4)
    await lease.end()
  })

  test('a drain that was asked for through the store is told, once, and kept', async () => {
    const { clock, runners, lease, changed, told, record } = begin()
    await lease.start(changed)
    await runners.drain(ME)
    await clock.advance(4 * PERIOD_MAX_MS)
    expect(told).toMatchObject([{ good: true, draining: true }])
    expect([lease.draining, record()?.draining]).toEqual([true, true])
    await lease.end()
  })

  test('draining is announced at once, and harmless when the store is away', async () => {
    const { clock, lease, changed, script, record } = begin()
    await lease.start(changed)
    await lease.drain()
    expect(record()).toMatchObject({ draining: true, beat: 2 })
    script.renew = [fault('store_unavailable')]
    await lease.drain()
    await clock.advance(PERIOD_MAX_MS)
    expect([lease.isGood, lease.draining]).toEqual([true, true])
    await lease.end()
  })

  test('ends with its record removed, and nothing goes on', async () => {
    const { clock, lease, changed, told, record, sentMs } = begin()
    await lease.start(changed)
    await lease.end()
    const sent = sentMs.length
    await clock.advance(60_000)
    expect([lease.isGood, record(), sentMs.length, clock.timers, told]).toEqual([
      false,
      undefined,
      sent,
      0,
      [],
    ])
  })

  test('a start without the store fails, and leaves nothing behind', async () => {
    const { clock, lease, changed, script } = begin()
    script.renew = [fault('store_unavailable')]
    await expect(lease.start(changed)).rejects.toMatchObject({ code: 'store_unavailable' })
    expect([lease.isGood, clock.timers]).toEqual([false, 0])
  })
})

test.for<[string, Partial<LeaseTimes>]>([
  ['renewals that come later than the time to renew', { renewEveryMs: 6_500 / 1.2 }],
  ['a time to renew as long as the lease', { renewWithinMs: 10_000 }],
  ['times that are no numbers', { leaseForMs: Number.NaN }],
])('refuses %s', ([, more]) => {
  const clock = fakeClock()
  const make = (): RunnerLease =>
    new RunnerLease({
      store: memory(clock).stores.runners,
      clock,
      random: seededRandom(1),
      log: silent,
      id: ME,
      times: { ...TIMES, ...more },
      facts: { capacity: 1, version: '1', held: () => 0 },
    })
  expect(make).toThrow(expect.objectContaining({ code: 'config' }))
})
