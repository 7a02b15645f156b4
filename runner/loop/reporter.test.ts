import { describe, expect, test } from 'vitest'
import { CodedError, type ErrorCode } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import { seededRandom } from '#shared/random.ts'
import type { Stores } from '#shared/store/stores.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { newSession } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { KEY, keyOf, memory, recordedLog, statusOf } from '../runner.fixture.ts'
import { Reporter } from './reporter.ts'

const fault = (code: ErrorCode) => ({ kind: 'fail_before', error: new CodedError(code, 'scripted') }) as const

async function begin(
  script: { sessions?: Script<Stores['sessions']>; events?: Script<Stores['events']> } = {},
) {
  const clock = fakeClock()
  const { stores } = memory(clock)
  await stores.sessions.create(newSession('acme', 'shop'))
  const written: number[] = []
  const counted: Stores['sessions'] = {
    ...stores.sessions,
    reportStatus: (key, status, nowMs) => {
      written.push(status.attempts)
      return stores.sessions.reportStatus(key, status, nowMs)
    },
  }
  const fenced: SessionKey[] = []
  const { log, lines } = recordedLog()
  const tell = new Reporter({
    stores: {
      sessions: faulty(counted, script.sessions ?? {}),
      events: faulty(stores.events, script.events ?? {}),
    },
    clock,
    random: seededRandom(1),
    log,
    me: 'runner-1',
    fenced: (key) => fenced.push(key),
    isOver: () => false,
  })
  /** Statuses are told apart by their attempts. */
  const status = (attempts: number, epoch = 1): void => tell.status(KEY, statusOf({ attempts, epoch }))
  const stored = async (): Promise<number | undefined> => (await stores.sessions.get(KEY))?.status?.attempts
  const events = async () => (await stores.events.list(KEY, { limit: 100_000 })).items
  return { clock, stores, tell, status, stored, events, written, fenced, lines }
}

describe('telling a status', () => {
  test('returns at once, and told resolves when it is written', async () => {
    const { tell, status, stored } = await begin()
    status(1)
    await tell.told(KEY)
    expect(await stored()).toBe(1)
    await tell.told(KEY)
  })

  test('of several only the newest goes out', async () => {
    const held = Promise.withResolvers<void>()
    const { tell, status, written } = await begin({
      sessions: { reportStatus: [{ kind: 'delay', until: held.promise }] },
    })
    for (const attempts of [1, 2, 3]) status(attempts)
    held.resolve()
    await tell.told(KEY)
    expect(written).toEqual([1, 3])
  })

  test('B5 a store that is away delays it, and gets the newest when it is back', async () => {
    const script: Script<Stores['sessions']> = { reportStatus: fault('store_unavailable') }
    const { clock, tell, status, stored, written } = await begin({ sessions: script })
    status(1)
    await clock.advance(1_000)
    status(2)
    await clock.advance(60_000)
    expect(await stored()).toBeUndefined()
    delete script.reportStatus
    await clock.advance(10_000)
    await tell.told(KEY)
    expect(written).toEqual([2])
    expect(clock.timers).toBe(0)
  })

  test('E7 a status of an older epoch is refused and tells that the session is not ours', async () => {
    const { tell, status, stored, fenced, lines } = await begin()
    status(1, 2)
    await tell.told(KEY)
    status(9, 1)
    await tell.told(KEY)
    expect(await stored()).toBe(1)
    expect(fenced).toEqual([KEY])
    expect(lines).toEqual([])
  })

  test('what is forgotten is not written, also when it is being tried again', async () => {
    const script: Script<Stores['sessions']> = { reportStatus: [fault('overloaded')] }
    const { clock, tell, status, written } = await begin({ sessions: script })
    status(1)
    await clock.settle()
    tell.forget(KEY)
    await clock.advance(60_000)
    await tell.told(KEY)
    expect(written).toEqual([])
    status(2)
    await tell.told(KEY)
    expect(written).toEqual([2])
  })

  test('says since when it waits, and anew once one was written', async () => {
    const script: Script<Stores['sessions']> = { reportStatus: fault('store_unavailable') }
    const { clock, tell, status } = await begin({ sessions: script })
    expect(tell.waiting(KEY)).toEqual([])
    status(1)
    const sinceMs = clock.monotonicMs()
    await clock.advance(61_000)
    status(2)
    tell.event(KEY, { kind: 'claim' })
    await clock.settle()
    expect(tell.waiting(KEY)).toEqual([{ what: 'status', sinceMs }])
    expect([...tell.waitingKeys]).toEqual([KEY])
    delete script.reportStatus
    await clock.advance(10_000)
    expect([tell.waiting(KEY), [...tell.waitingKeys]]).toEqual([[], []])
  })

  test('one that the store can never keep is written with words that it can', async () => {
    const { clock, tell, stores, lines } = await begin()
    tell.status(KEY, statusOf({ reason: `\ud83d${'x'.repeat(1 << 20)}`, attempts: 3 }))
    await clock.settle()
    const status = (await stores.sessions.get(KEY))?.status
    expect(status).toMatchObject({ attempts: 3, reason: `\ufffd${'x'.repeat(999)}` })
    expect(lines).toHaveLength(1)
  })

  test('a write that can never succeed is given up and logged', async () => {
    const { tell, status, lines } = await begin({ sessions: { reportStatus: [fault('config')] } })
    status(1)
    await tell.told(KEY)
    expect(lines.map(({ message }) => message)).toEqual(['a write in the background failed'])
  })
})

describe('telling an event', () => {
  test('C5 adds a line to the audit trail, by whom and when', async () => {
    const { clock, tell, events } = await begin()
    const at = clock.nowMs()
    tell.event(KEY, { kind: 'close', why: 'timed_out', code: 408 })
    await clock.advance(5)
    tell.event(KEY, { kind: 'release', epoch: 3 })
    await clock.settle()
    expect(await events()).toMatchObject([
      { kind: 'release', epoch: 3, at: at + 5, by: 'runner-1' },
      { kind: 'close', why: 'timed_out', code: 408, at, by: 'runner-1' },
    ])
  })

  test('one that the store can never keep is written with words that it can, and holds up no other', async () => {
    const { clock, tell, events } = await begin()
    const why = 'x\udc00'
    tell.event(KEY, { kind: 'close', why, code: Number.NaN, detail: { n: Infinity, text: why } })
    await clock.advance(1)
    tell.event(KEY, { kind: 'release' })
    await clock.settle()
    const [last, first] = await events()
    expect(last).toMatchObject({ kind: 'release' })
    expect(first).toMatchObject({ kind: 'close', why: 'x\ufffd', detail: { text: 'x\ufffd' } })
    expect(first).not.toHaveProperty('code')
  })

  test('says since when lines of the trail, and other writes, wait', async () => {
    const script: Script<Stores['events']> = { append: fault('store_unavailable') }
    const { clock, tell } = await begin({ events: script })
    const sinceMs = clock.monotonicMs()
    tell.event(KEY, { kind: 'claim' })
    await clock.advance(1_000)
    let done = false
    tell.background(KEY, async () => {
      if (!done) throw new CodedError('overloaded', 'scripted')
    })
    await clock.settle()
    expect(tell.waiting(KEY)).toEqual([{ what: 'writes', sinceMs }])
    delete script.append
    await clock.advance(10_000)
    expect(tell.waiting(KEY)).toEqual([{ what: 'writes', sinceMs: sinceMs + 1_000 }])
    done = true
    await clock.advance(10_000)
    expect(tell.waiting(KEY)).toEqual([])
  })

  test('F3: what others make of writes that wait for an absent store is bounded, of one session and of all', async () => {
    const { tell, clock, lines } = await begin()
    const isBack = Promise.withResolvers<void>()
    let done = 0
    const work = (): Promise<void> => isBack.promise.then(() => void done++)
    const taken = (key: SessionKey, times: number): number =>
      Array.from({ length: times }, () => tell.background(key, work, 'others')).filter(Boolean).length
    expect(taken(KEY, 1_500)).toBe(1_000)
    // The session's own work has room still.
    expect(tell.background(KEY, work)).toBe(true)
    let ofAll = 1_000
    for (let at = 0; at < 12; at++) ofAll += taken(keyOf(`s${at}`), 1_000)
    expect(ofAll).toBe(10_000)
    isBack.resolve()
    await clock.settle()
    expect([done, [...tell.waitingKeys]]).toEqual([10_001, []])
    expect(taken(KEY, 1_500)).toBe(1_000)
    expect(lines.filter(({ level }) => level >= 50)).toEqual([])
  })

  test('more writes of one session than it can have in work are left out, and said', async () => {
    const { tell, lines } = await begin()
    const work = (): Promise<void> => Promise.reject(new CodedError('store_unavailable', 'scripted'))
    const taken = Array.from({ length: 1_001 }, () => tell.background(KEY, work))
    expect(taken.lastIndexOf(true)).toBe(999)
    expect(lines.map(({ message }) => message)).toContain('a write was left out: too many wait for the store')
  })

  test('is written once though its answer was lost', async () => {
    const lost = { kind: 'fail_after', error: new CodedError('store_unavailable', 'scripted') } as const
    const { clock, tell, events } = await begin({ events: { append: [lost, lost] } })
    tell.event(KEY, { kind: 'claim' })
    await clock.advance(5_000)
    expect(await events()).toHaveLength(1)
  })

  test('what waits for an absent store is bounded', async () => {
    const script: Script<Stores['events']> = { append: fault('store_unavailable') }
    const { clock, tell, events, lines } = await begin({ events: script })
    for (let number = 0; number < 10_001; number++) tell.event(KEY, { kind: 'claim' })
    await clock.settle()
    expect(lines.map(({ message }) => message)).toEqual(['an event was dropped: too many wait for the store'])
    delete script.append
    await clock.advance(1_000)
    expect(await events()).toHaveLength(10_000)
  })

  test('many at once reach the store a few at a time, and all of them in the end', async () => {
    const clock = fakeClock()
    const { stores } = memory(clock)
    const flying = { now: 0, most: 0 }
    const append: Stores['events']['append'] = async (key, event) => {
      flying.most = Math.max(flying.most, ++flying.now)
      await clock.sleep(10)
      await stores.events.append(key, event)
      flying.now--
    }
    const tell = new Reporter({
      stores: { sessions: stores.sessions, events: { ...stores.events, append } },
      clock,
      random: seededRandom(1),
      log: recordedLog().log,
      me: 'runner-1',
      fenced: () => undefined,
      isOver: () => false,
    })
    for (let number = 0; number < 500; number++) tell.event(keyOf(`s${number % 50}`), { kind: 'claim' })
    const closed = tell.close(60_000)
    await clock.advance(1_000)
    await closed
    for (let number = 0; number < 50; number++)
      expect((await stores.events.list(keyOf(`s${number}`), { limit: 100 })).items).toHaveLength(10)
    expect(flying).toEqual({ now: 0, most: 16 })
  })

  test('F21 events of sessions for which the store hangs hold up those of no other', async () => {
    const { clock, stores, tell } = await begin()
    const append = stores.events.append.bind(stores.events)
    stores.events.append = (key, event) => (key === KEY ? append(key, event) : new Promise(() => undefined))
    for (let number = 0; number < 64; number++) tell.event(keyOf(`s${number}`), { kind: 'claim' })
    tell.event(KEY, { kind: 'claim' })
    await clock.advance(5_000)
    expect((await stores.events.list(KEY, { limit: 10 })).items).toHaveLength(1)
  })

  test('one that the store refuses for good makes room again', async () => {
    const script: Script<Stores['events']> = { append: fault('config') }
    const { clock, tell, events } = await begin({ events: script })
    for (let number = 0; number < 10_000; number++) tell.event(KEY, { kind: 'claim' })
    await clock.settle()
    delete script.append
    tell.event(KEY, { kind: 'release' })
    await clock.settle()
    expect(await events()).toMatchObject([{ kind: 'release' }])
  })
})

describe('the end', () => {
  test('F21 comes in time though the store hangs', async () => {
    const { clock, stores, tell, status } = await begin()
    stores.events.append = () => new Promise(() => undefined)
    stores.sessions.reportStatus = () => new Promise(() => undefined)
    status(1)
    tell.event(KEY, { kind: 'claim' })
    tell.background(KEY, () => new Promise(() => undefined))
    let isClosed = false
    void tell.close(1_500).then(() => (isClosed = true))
    await clock.advance(1_500)
    await clock.advance(1)
    expect(isClosed).toBe(true)
  })

  test('waits until everything is written', async () => {
    const { clock, tell, status, stored, events } = await begin({
      sessions: { reportStatus: [fault('store_unavailable')] },
      events: { append: [fault('store_unavailable')] },
    })
    status(1)
    tell.event(KEY, { kind: 'release' })
    const closed = tell.close(1_500)
    await clock.advance(1_000)
    await closed
    expect([await stored(), (await events()).length, clock.timers]).toEqual([1, 1, 0])
  })

  test('comes in time though the store is away, and then nothing is tried again', async () => {
    const script: Script<Stores['sessions']> = { reportStatus: fault('store_unavailable') }
    const { clock, tell, status, stored } = await begin({ sessions: script })
    status(1)
    const closed = tell.close(1_500)
    await clock.advance(1_500)
    await closed
    delete script.reportStatus
    status(2)
    await clock.advance(60_000)
    expect(await stored()).toBeUndefined()
    expect(clock.timers).toBe(0)
  })
})
