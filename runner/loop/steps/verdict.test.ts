import { expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { FleetBreaker } from '../../pacing/breaker.ts'
import type { RunnerContext } from '../context.ts'
import { Pacer } from '../../pacing/pacer.ts'
import { sessionOf, silent, socketOf } from '../../runner.fixture.ts'
import { LateLogins } from '../../session/late-logins.ts'
import { LiveSession } from '../../session/live-session.ts'
import type { LiveSessionDeps } from '../../session/live-session-deps.ts'
import { KEY, openWorld } from '../../state/testing.ts'
import type { CloseReport, SocketEvents } from '../../whatsapp/socket.ts'
import { settleVerdict } from './verdict.ts'

const REPLACED: CloseReport = {
  by: 'server',
  status: 440,
  conflict: 'replaced',
  message: 'Stream Errored (conflict)',
}
const ME = { jid: '491701234567:5@s.whatsapp.net' }

/** A paired session that this runner owns, not connected. */
async function begin(world: Awaited<ReturnType<typeof openWorld>>) {
  const clock = fakeClock()
  const lateLogins = new LateLogins()
  const events: SocketEvents[] = []
  const latest = (): SocketEvents => {
    const last = events.at(-1)
    if (!last) throw new Error('nothing was opened')
    return last
  }
  const live = new LiveSession(
    {
      stores: world.stores,
      state: world.deps(),
      mayWrite: () => true,
      openSocket: (ask) => {
        events.push(ask.events)
        return socketOf({ handOver: async () => ask.events.closed({ by: 'us', message: 'handed over' }) })
      },
      clock,
      log: silent,
      dice: () => 0.5,
      lateLogins,
      wake: () => undefined,
      background: (_, work) => void work(),
      dropped: () => undefined,
      event: () => undefined,
    } satisfies LiveSessionDeps,
    KEY,
  )
  await live.rehydrate(await world.session(), { epoch: 1 })
  live.paired = true
  const told: unknown[] = []
  const context = {
    clock,
    log: silent,
    live: new Map([[KEY, live]]),
    lateLogins,
    lease: { id: 'me' },
    view: { refreshOwner: async () => undefined, owners: new Map([[KEY, { runnerId: 'me', epoch: 1 }]]) },
    breaker: new FleetBreaker(() => undefined),
    pacer: new Pacer({ perSecond: 10, atOnceMax: 10, tenantOf: () => 'acme' }),
    reporter: { event: (_key: string, event: unknown) => told.push(event) },
    random: { next: () => 0 },
  } as unknown as RunnerContext
  const settle = () => settleVerdict(context, KEY, sessionOf())
  /** Connects, and is replaced a moment later. */
  const replaced = async (): Promise<void> => {
    live.connect(1)
    latest().open(ME)
    await clock.advance(1_000)
    latest().closed(REPLACED)
    await settle()
  }
  return { live, clock, latest, settle, replaced, told }
}

test('E1 a 440 on a connection like any other is a conflict', async () => {
  await using world = await openWorld()
  const { live, replaced } = await begin(world)
  await replaced()
  expect(live.block?.phase).toBe('conflict')
})

test('E1 after a restart in the middle of a login, one 440 is its doing: tried again; the next is a conflict', async () => {
  await using world = await openWorld()
  const { live, clock, replaced, told } = await begin(world)
  live.connect(1)
  await live.closeSocket()
  await replaced()
  expect(live.block).toBeUndefined()
  expect(live.retryAtMs).toBeGreaterThan(clock.monotonicMs())
  expect(live.lastDisconnect).toMatchObject({ code: 440, why: 'own_late_login' })
  expect(told).toEqual([{ kind: 'close', why: 'own_late_login', code: 440, epoch: 1 }])
  await replaced()
  expect(live.block?.phase).toBe('conflict')
  expect(live.lastDisconnect).toMatchObject({ code: 440, why: 'replaced' })
})

test.for<[why: string, close: CloseReport, block: string | undefined]>([
  ['a watchdog ended', { by: 'watchdog', message: 'no answer while connecting' }, undefined],
  ['timed out', { by: 'server', status: 408, message: 'Timed Out' }, undefined],
  ['WhatsApp refused', { by: 'server', status: 503, message: 'Stream Errored (unavailable)' }, 'conflict'],
])('after a login that %s, the phase that a 440 brings is %3$s', async ([, close, block]) => {
  await using world = await openWorld()
  const { live, latest, settle, replaced } = await begin(world)
  live.connect(1)
  latest().closed(close)
  await settle()
  await replaced()
  expect(live.block?.phase).toBe(block)
})

test('a connection that was open before it was closed leaves no login behind', async () => {
  await using world = await openWorld()
  const { live, latest, replaced } = await begin(world)
  live.connect(1)
  latest().open(ME)
  await live.closeSocket()
  await replaced()
  expect(live.block?.phase).toBe('conflict')
})
