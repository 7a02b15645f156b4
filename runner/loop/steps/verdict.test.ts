import { expect, test } from 'vitest'
import type { SessionKey } from '#shared/ids.ts'
import { runner } from '#test/contract/samples.ts'
import { FleetBreaker } from '../../pacing/breaker.ts'
import { Pacer } from '../../pacing/pacer.ts'
import { KEY, sessionOf, silent } from '../../runner.fixture.ts'
import { EPOCH, ME, sessionInHand } from '../../session/live-session.fixture.ts'
import type { CloseReport } from '../../whatsapp/socket.ts'
import { settleVerdict, type VerdictNeeds } from './verdict.ts'

const REPLACED: CloseReport = {
  by: 'server',
  status: 440,
  conflict: 'replaced',
  message: 'Stream Errored (conflict)',
}

/** A paired session that this runner owns, not connected. */
async function begin() {
  const { live, clock, lateLogins, latest, rehydrate } = await sessionInHand({ paired: true, dice: 0.5 })
  await rehydrate()
  const told: unknown[] = []
  const me = runner('me')
  const context = {
    clock,
    log: silent,
    live: new Map([[KEY, live]]),
    lateLogins,
    lease: { id: me },
    view: {
      refreshOwner: async () => undefined,
      owners: new Map([[KEY, { runnerId: me, epoch: EPOCH, since: 1, nonce: 'n' }]]),
    },
    breaker: new FleetBreaker(() => undefined),
    version: { refused: () => undefined },
    pacer: new Pacer<SessionKey>({ perSecond: 10, atOnceMax: 10, tenantOf: () => 'acme' }),
    reporter: { event: (_key: string, event: unknown) => void told.push(event) },
    random: { next: () => 0 },
  } satisfies VerdictNeeds
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
  const { live, replaced } = await begin()
  await replaced()
  expect(live.retry.block?.phase).toBe('conflict')
})

test('E1 after a restart in the middle of a login, one 440 is its doing: tried again; the next is a conflict', async () => {
  const { live, clock, replaced, told } = await begin()
  live.connect(1)
  await live.closeSocket()
  await replaced()
  expect(live.retry.block).toBeUndefined()
  expect(live.retry.retryAtMs).toBeGreaterThan(clock.monotonicMs())
  expect(live.lastDisconnect).toMatchObject({ code: 440, why: 'own_late_login' })
  expect(told).toEqual([{ kind: 'close', why: 'own_late_login', code: 440, epoch: EPOCH }])
  await replaced()
  expect(live.retry.block?.phase).toBe('conflict')
  expect(live.lastDisconnect).toMatchObject({ code: 440, why: 'replaced' })
})

test.for<[why: string, close: CloseReport, block: string | undefined]>([
  ['a watchdog ended', { by: 'watchdog', message: 'no answer while connecting' }, undefined],
  ['timed out', { by: 'server', status: 408, message: 'Timed Out' }, undefined],
  ['WhatsApp refused', { by: 'server', status: 503, message: 'Stream Errored (unavailable)' }, 'conflict'],
])('after a login that %s, the phase that a 440 brings is %3$s', async ([, close, block]) => {
  const { live, latest, settle, replaced } = await begin()
  live.connect(1)
  latest().closed(close)
  await settle()
  await replaced()
  expect(live.retry.block?.phase).toBe(block)
})

test('a connection that was open before it was closed leaves no login behind', async () => {
  const { live, latest, replaced } = await begin()
  live.connect(1)
  latest().open(ME)
  await live.closeSocket()
  await replaced()
  expect(live.retry.block?.phase).toBe('conflict')
})
