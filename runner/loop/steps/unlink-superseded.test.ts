import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { AuditEvent } from '#shared/store/event-store.ts'
import { fakeClock } from '#test/fake-clock.ts'
import {
  connectingView,
  keyOf,
  openView,
  recordedLog,
  sessionOf,
  statusOf,
  viewOf,
} from '../../runner.fixture.ts'
import { NO_CONNECTION } from '../../session/connection.ts'
import { SupersededDevices } from '../../session/superseded-devices.ts'
import { SlowLane } from '../slow-lane.ts'
import { CREDS_KEY } from '../../state/record.ts'
import { credsRecord, KEY, openWorld, type World } from '../../state/testing.ts'
import type { UnlinkOutcome, UnlinkAsk } from '../../whatsapp/socket.ts'
import { unlinkSuperseded, type UnlinkNeeds } from './unlink-superseded.ts'

const OLD = '491701234567:5@s.whatsapp.net'
const NEW = '491701234567:6@s.whatsapp.net'
const credsOf = (id: string, key: number): Buffer =>
  credsRecord({ me: { id }, signedIdentityKey: { public: Buffer.alloc(32, key) } })

let world: World
beforeEach(async () => {
  world = await openWorld()
})
afterEach(() => world[Symbol.asyncDispose]())

/** A session that is connected as the new device, and whose old one lies in a backup; deviceUnlinker end as a test says. */
async function begin(live: { id?: string; key?: number } = {}) {
  const clock = fakeClock()
  const state = await world.open(1)
  await state.journal.set([[CREDS_KEY, credsOf(OLD, 1)]])
  const { id: snapshot } = await state.snapshot('superseded', { label: 'superseded' })
  await state.reset([[CREDS_KEY, credsOf(live.id ?? NEW, live.key ?? 2)]])
  const { log } = recordedLog()
  const superseded = new SupersededDevices()
  superseded.found([{ snapshot, jid: OLD, state: 'pending', tries: 0, at: 1 }])
  const session = { ...viewOf({ connection: openView() }, KEY), state, superseded }
  const asks: UnlinkAsk[] = []
  const answers: (UnlinkOutcome | Promise<UnlinkOutcome>)[] = []
  const events: Partial<AuditEvent>[] = []
  const wakes: number[] = []
  const lease = { isGood: true }
  const unlinking = new SlowLane({
    name: 'unlink',
    clock,
    log,
    dice: () => 0.5,
    atOnce: 2,
    withinMs: 60_000,
    mayWork: () => true,
    wake: () => undefined,
  })
  const others = new Map<SessionKey, Session>()
  const context = {
    stores: world.stores,
    clock,
    log,
    lease,
    live: new Map([[KEY, session]]),
    view: { sessions: others },
    queue: { addAt: (_: SessionKey, atMs: number) => void wakes.push(atMs) },
    breaker: { waitsUntilMs: () => 0 },
    version: { of: () => undefined },
    sessionDeps: { mayWrite: () => lease.isGood },
    reporter: { event: (_: SessionKey, event: Partial<AuditEvent>) => void events.push(event) },
    unlinking,
    unlinkDevice: async (ask: UnlinkAsk) => {
      asks.push(ask)
      return answers.shift() ?? { ended: 'confirmed' }
    },
  } satisfies UnlinkNeeds
  const pass = async (): Promise<void> => {
    unlinkSuperseded(context, KEY)
    while (unlinking.isBusy(KEY)) await new Promise(setImmediate)
  }
  return {
    clock,
    context,
    session,
    superseded,
    asks,
    answers,
    events,
    wakes,
    lease,
    others,
    snapshot,
    pass,
    state,
  }
}

describe('A4 a superseded device', () => {
  test('is unlinked with its own credentials, and it is told', async () => {
    const { superseded, asks, events, pass, snapshot, state } = await begin()
    await pass()
    expect(asks.map(({ records }) => Buffer.from(records.get(CREDS_KEY) ?? []))).toEqual([credsOf(OLD, 1)])
    expect(asks[0]?.records).not.toBe(state.records)
    expect(superseded.devices).toMatchObject([{ snapshot, jid: OLD, state: 'retired', tries: 1 }])
    expect(events).toMatchObject([{ kind: 'retire', to: 'retired', detail: { snapshot, jid: OLD } }])
    await pass()
    expect(asks).toHaveLength(1)
  })

  type Begun = Awaited<ReturnType<typeof begin>>
  test.for<[when: string, change: (begun: Begun) => void]>([
    ['the session is not connected', ({ session }) => void (session.connection = connectingView())],
    [
      'the session is not paired',
      ({ session }) => void (session.identity = viewOf({ identity: { paired: false } }).identity),
    ],
    ['the lease is lost', ({ lease }) => void (lease.isGood = false)],
    ['nothing was superseded', ({ superseded }) => superseded.found([])],
  ])('is left alone while %s', async ([, change]) => {
    const begun = await begin()
    const { asks, pass } = begun
    change(begun)
    await pass()
    expect(asks).toEqual([])
  })

  test('is never the live one: after a restore its backup is nothing that was superseded', async () => {
    const { superseded, asks, events, pass } = await begin({ id: OLD, key: 1 })
    await pass()
    expect([asks, events, superseded.devices]).toEqual([[], [], []])
  })

  test('whose number the live device has now is gone, and nobody asks', async () => {
    const { superseded, asks, pass } = await begin({ id: OLD, key: 2 })
    await pass()
    expect(asks).toEqual([])
    expect(superseded.devices).toMatchObject([{ state: 'retired', why: expect.stringContaining('number') }])
  })

  test('that another session is goes on there, and a person is told, but not which one: it may be another tenant’s', async () => {
    const { superseded, others, asks, pass } = await begin()
    others.set(keyOf('copy'), sessionOf({ status: statusOf({ jid: OLD, authenticatedAt: 1 }) }))
    await pass()
    expect(asks).toEqual([])
    expect(superseded.devices).toMatchObject([
      {
        state: 'still_linked',
        why: expect.stringMatching(/another session uses it.*unlink it on the phone/),
      },
    ])
    expect(JSON.stringify(superseded.devices)).not.toContain('copy')
  })

  test('whose backup is lost is told as still linked', async () => {
    const { superseded, asks, events, pass } = await begin()
    for (const { object } of await world.stores.snapshots.list(KEY)) await world.stores.blobs.remove(object)
    await pass()
    expect(asks).toEqual([])
    expect(superseded.devices).toMatchObject([{ state: 'still_linked' }])
    expect(events).toMatchObject([{ to: 'still_linked', why: expect.stringContaining('blob_missing') }])
  })

  test('that could not be reached is tried again later, three times in all', async () => {
    const { clock, superseded, asks, answers, events, wakes, pass } = await begin()
    answers.push({ ended: 'no_answer' }, { ended: 'no_answer' }, { ended: 'no_answer' })
    for (const tries of [1, 2]) {
      await pass()
      expect([superseded.devices, events]).toMatchObject([[{ state: 'pending', tries }], []])
      await pass()
      expect(asks).toHaveLength(tries)
      await clock.advance((wakes.at(-1) ?? 0) - clock.monotonicMs())
    }
    await pass()
    expect(superseded.devices).toMatchObject([{ state: 'still_linked', tries: 3 }])
    expect(events).toMatchObject([{ to: 'still_linked' }])
  })

  test('is judged by its owner alone: what comes back after the session went elsewhere means nothing', async () => {
    const { context, superseded, asks, answers, events, lease } = await begin()
    const answer = Promise.withResolvers<UnlinkOutcome>()
    answers.push(answer.promise)
    unlinkSuperseded(context, KEY)
    while (asks.length === 0) await new Promise(setImmediate)
    expect(asks[0]?.mayWrite()).toBe(true)
    lease.isGood = false
    expect(asks[0]?.mayWrite()).toBe(false)
    lease.isGood = true
    superseded.stop()
    expect([asks[0]?.mayWrite(), asks[0]?.signal.aborted]).toEqual([false, true])
    answer.resolve({ ended: 'confirmed' })
    while (context.unlinking.isBusy(KEY)) await new Promise(setImmediate)
    expect([superseded.devices?.[0]?.state, events]).toEqual(['pending', []])
  })

  test('waits while two others are unlinked, and is not unlinked when it is not connected by then', async () => {
    const { context, session, asks, pass } = await begin()
    const others = Promise.withResolvers<void>()
    for (const name of ['one', 'two']) context.unlinking.offer(keyOf(name), () => others.promise)
    unlinkSuperseded(context, KEY)
    session.connection = NO_CONNECTION
    others.resolve()
    while (context.unlinking.isBusy(KEY)) await new Promise(setImmediate)
    expect(asks).toEqual([])
    session.connection = openView()
    await pass()
    expect(asks).toHaveLength(1)
  })
})
