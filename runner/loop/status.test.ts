import { describe, expect, test } from 'vitest'
import { PHASES, type Phase, type Session, type Status } from '#shared/session.ts'
import { snapshot } from '#test/contract/samples.ts'
import {
  blockOf,
  connectingView,
  openView,
  sessionOf,
  statusOf as stored,
  viewOf,
  type Seen,
} from '../runner.fixture.ts'
import { owesMessages, phaseOf, saysTheSame, statusOf, type StatusFacts } from './status.ts'

const NOW = 1_790_000_000_000
const MONOTONIC = 5_000

const facts = (more: Partial<StatusFacts> = {}): StatusFacts => ({
  nowMs: NOW,
  monotonicMs: MONOTONIC,
  epoch: 4,
  pairingOpen: false,
  fleetStopped: false,
  waiting: [],
  ...more,
})

const blocked = (phase: Phase): Seen => ({ retry: { block: blockOf(phase) } })
const retryAt = (retryAtMs: number): Seen => ({ retry: { retryAtMs } })
const unpaired: Seen = { identity: { paired: false } }
const open: Seen = { connection: openView() }
const connecting: Seen = { connection: connectingView() }
const stopped = sessionOf({ want: { state: 'stopped' } })

/** A session that is rehydrated and paired, without a socket, and wanted running. */
const rows: readonly [Phase, says: string, Seen, Partial<StatusFacts>, Session?][] = [
  ['connected', 'with an open socket', open, {}],
  ['connected', 'until its socket is closed, though it is to stop', open, {}, stopped],
  ['stopped', 'when nothing is wanted', {}, {}, stopped],
  ['logged_out', 'also when it is stopped', blocked('logged_out'), {}, stopped],
  ['rehydrating', 'without a state', { state: undefined }, {}],
  ['conflict', 'for a person', blocked('conflict'), {}],
  ['restricted', 'for a time', blocked('restricted'), {}],
  ['banned', 'for a person', blocked('banned'), {}],
  ['failed', 'also without a state', { ...blocked('failed'), state: undefined }, {}],
  ['unpaired', 'without credentials', unpaired, {}],
  ['pairing', 'while a window is open', { ...unpaired, ...connecting }, { pairingOpen: true }],
  ['connecting', 'with a socket on its way', connecting, { fleetStopped: true }],
  ['connecting', 'when it may connect now', retryAt(MONOTONIC), {}],
  ['outdated', 'while the fleet is stopped', retryAt(MONOTONIC + 1), { fleetStopped: true }],
  ['backing_off', 'until its next try', retryAt(MONOTONIC + 1), {}],
]

describe('the phase', () => {
  test.for(rows)('is %s %s', ([phase, , live, more, session = sessionOf()]) => {
    expect(phaseOf(viewOf(live), session, facts(more))).toBe(phase)
  })

  test('every phase has a row, but for the one that no runner writes', () => {
    expect(new Set(rows.map(([phase]) => phase))).toEqual(new Set(PHASES.filter((one) => one !== 'pending')))
  })
})

const tell = (
  live: Seen,
  session: { want?: Partial<Session['want']>; before?: Partial<Status> | undefined } = {},
  more: Partial<StatusFacts> = {},
): Status =>
  statusOf(
    viewOf(live),
    sessionOf({ want: session.want ?? {}, status: session.before && stored(session.before) }),
    facts(more),
  )

const me = { jid: '491701234567:12@s.whatsapp.net', lid: '900:12@lid' }

describe('the status', () => {
  test('C2 says who it is, since when, and which want it answers to', () => {
    const status = tell(
      { ...open, identity: { me, authenticatedAt: 7 }, lastActivityAt: 8 },
      { want: { generation: 9 } },
    )
    expect(status).toEqual({
      phase: 'connected',
      observedGeneration: 9,
      epoch: 4,
      at: NOW,
      phone: '491701234567',
      jid: me.jid,
      deviceId: 12,
      connectedAt: NOW,
      authenticatedAt: 7,
      lastActivityAt: 8,
      attempts: 0,
      uptime: { connectedMs: 0, wantedMs: 0, connects: 1, disconnects: 0 },
    })
  })

  test('keeps what was known before', () => {
    const before = {
      phase: 'connected',
      jid: me.jid,
      connectedAt: 3,
      authenticatedAt: 4,
      lastActivityAt: 5,
      lastDisconnect: { code: 428, why: 'connection_closed', at: 6 },
      endedWindowId: 'w0',
      snapshot: { seq: 1, at: 2, bytes: 3 },
    } as const
    expect(tell(open, { before })).toMatchObject({ ...before, deviceId: 12 })
  })

  test('counts a new connection from now', () => {
    expect(tell(open, { before: { phase: 'backing_off', connectedAt: 3 } }).connectedAt).toBe(NOW)
    expect(tell({}, { before: { phase: 'connected', connectedAt: 3 } })).not.toHaveProperty('connectedAt')
  })

  test('A5 an unpaired session has nobody’s number, a logged-out one still says whose it was', () => {
    const before = { jid: me.jid, authenticatedAt: 4 }
    expect(tell(unpaired, { before })).not.toMatchObject({ phone: expect.anything() })
    expect(tell(unpaired, { before })).not.toHaveProperty('authenticatedAt')
    const loggedOut = tell({ ...unpaired, ...blocked('logged_out') }, { before })
    expect(loggedOut).toMatchObject({ phone: '491701234567', authenticatedAt: 4 })
  })

  test('D3 shows the QR while it pairs, and only then', () => {
    const shown = { windowId: 'w1', qr: 'text', expiresAt: NOW + 1 }
    const pairing = { ...unpaired, pairing: { shown, note: 'scan again' } }
    expect(tell(pairing, {}, { pairingOpen: true })).toMatchObject({ pairing: shown, reason: 'scan again' })
    expect(tell(pairing)).not.toHaveProperty('pairing')
  })

  test('D4 says when the next attempt is, and why the last one failed', () => {
    const lastDisconnect = { code: 503, why: 'unavailable', at: NOW - 1 }
    const status = tell({ retry: { retryAtMs: MONOTONIC + 1_500.4, attempts: 3 }, lastDisconnect })
    expect(status).toMatchObject({
      nextAttemptAt: NOW + 1_500,
      attempts: 3,
      reason: 'unavailable',
      lastDisconnect,
    })
  })

  test('E1 says why a person is needed, and until when a restriction lasts', () => {
    const restricted = blockOf('restricted', { until: NOW + 5, untilMs: MONOTONIC + 5 })
    expect(tell({ retry: { block: restricted } })).toMatchObject({ reason: 'because', until: NOW + 5 })
    expect(tell(unpaired).reason).toMatch(/pairing/)
    expect(tell(retryAt(Infinity), {}, { fleetStopped: true }).reason).toMatch(/version/)
  })

  test('names the last snapshot, the newer before the stored one', () => {
    const state = { lastSnapshot: snapshot(8), witness: undefined }
    const before = { snapshot: { seq: 1, at: 2, bytes: 3 } }
    expect(tell({ state }, { before }).snapshot).toEqual({ seq: 8, at: snapshot(8).at, bytes: 1_000 })
  })

  test('carries the head of the journal as this owner wrote it, or what was stored before', () => {
    const witness = { seq: 8, mac: 'ab' }
    const before = { witness: { seq: 3, mac: 'cd' } }
    expect(tell({ state: { witness, lastSnapshot: undefined } }, { before }).witness).toEqual(witness)
    expect(tell({ state: undefined }, { before }).witness).toEqual(before.witness)
    expect(tell({ state: undefined })).not.toHaveProperty('witness')
  })

  test('B7 adds up the time it was connected and the time it was wanted', () => {
    const uptime = { connectedMs: 10, wantedMs: 20, connects: 1, disconnects: 0 }
    const before = { phase: 'connected', at: NOW - 100, uptime } as const
    expect(tell({}, { before }).uptime).toEqual({
      connectedMs: 110,
      wantedMs: 120,
      connects: 1,
      disconnects: 1,
    })
    expect(tell({}, { before, want: { state: 'stopped' } }).uptime.wantedMs).toBe(20)
    const down = { phase: 'backing_off', at: NOW - 100, uptime } as const
    expect(tell(open, { before: down }).uptime).toEqual({
      ...uptime,
      wantedMs: 120,
      connects: 2,
    })
    const ahead = { phase: 'connected', at: NOW + 100, uptime } as const
    expect(tell(open, { before: ahead }).uptime).toEqual(uptime)
  })
})

describe('what waits', () => {
  const MINUTE = 60_000
  const since = (ms: number, what: 'inbox' | 'outbox' | 'journal' | 'writes' | 'status' = 'outbox') => ({
    waiting: [{ what, sinceMs: MONOTONIC - ms }],
  })

  test('is told once it has waited for a minute, with the time since when', () => {
    expect(tell(open, {}, since(MINUTE - 1))).not.toHaveProperty('waiting')
    expect(tell(open, {}, since(MINUTE)).waiting).toEqual([{ what: 'outbox', since: NOW - MINUTE }])
  })

  test('keeps the time since when, whoever owns it and however the clocks go', () => {
    const before = { waiting: [{ what: 'outbox', since: 7 }] } as const
    expect(tell(open, { before }, since(3)).waiting).toEqual(before.waiting)
    expect(tell(open, { before })).not.toHaveProperty('waiting')
  })

  test('is never the status itself, which could not say so', () => {
    expect(tell(open, {}, since(MINUTE, 'status'))).not.toHaveProperty('waiting')
  })

  test.for<[says: string, live: Seen, want: Partial<Session['want']>]>([
    ['blocked', blocked('logged_out'), {}],
    ['stopped', {}, { state: 'stopped' }],
    ['without credentials', unpaired, {}],
  ])('is the inbox of one that is %s at once, so that its next owner delivers it', ([, live, want]) => {
    expect(tell(live, { want }, since(1, 'inbox')).waiting).toEqual([{ what: 'inbox', since: NOW - 1 }])
    expect(tell(live, { want }, since(1, 'outbox'))).not.toHaveProperty('waiting')
  })

  test('of the inbox stays as the last owner told it until the state is rebuilt, or can’t be', () => {
    const before = { waiting: [{ what: 'inbox', since: 7 }] } as const
    expect(tell({ state: undefined }, { before }).waiting).toEqual(before.waiting)
    expect(tell({ state: undefined, isUnreadable: true }, { before })).not.toHaveProperty('waiting')
    expect(owesMessages(sessionOf({ status: stored(before) }), undefined)).toBe(true)
    expect(owesMessages(sessionOf({ status: stored(before) }), viewOf({ state: undefined }))).toBe(true)
    expect(owesMessages(sessionOf({ status: stored(before) }), viewOf())).toBe(false)
    expect(owesMessages(sessionOf(), undefined)).toBe(false)
  })
})

describe('two statuses say the same', () => {
  const status = stored({ lastActivityAt: 600_000, lastDisconnect: { code: 1, why: 'x', at: 2 } })

  test('but for when they were written, the witness, uptime, and activity within a minute', () => {
    const witness = { seq: 8, mac: 'ab' }
    expect(saysTheSame(status, { ...status, witness })).toBe(true)
    const uptime = { connectedMs: 1, wantedMs: 1, connects: 0, disconnects: 0 }
    expect(saysTheSame(status, { ...status, at: 9, uptime, lastActivityAt: 659_999 })).toBe(true)
    expect(saysTheSame(status, { ...status, lastActivityAt: 660_000 })).toBe(false)
  })

  test('and anything else is news', () => {
    expect(saysTheSame(undefined, status)).toBe(false)
    expect(saysTheSame(status, { ...status, attempts: 1 })).toBe(false)
    expect(saysTheSame(status, { ...status, reason: 'new' })).toBe(false)
    expect(saysTheSame(status, { ...status, epoch: 2 })).toBe(false)
  })

  test('in whatever order a store gives their fields back', () => {
    const reversed = Object.fromEntries(Object.entries(status).toReversed()) as unknown as Status
    const lastDisconnect = { at: 2, why: 'x', code: 1 }
    expect(saysTheSame({ ...reversed, lastDisconnect }, status)).toBe(true)
  })
})
