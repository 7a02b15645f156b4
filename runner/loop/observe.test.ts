import { describe, expect, test } from 'vitest'
import type { RunnerId } from '#shared/ids.ts'
import type { PairingWindow, Phase, Status, Want } from '#shared/session.ts'
import { job } from '#test/contract/samples.ts'
import { liftsBlock, observe, openWindow, personSpoke, storedBlock, type Observation } from './observe.ts'
import {
  blockOf as aBlock,
  connectingView,
  KEY,
  openView,
  sessionOf,
  statusOf,
  viewOf,
  type Seen,
} from '../runner.fixture.ts'

/** Wall clock and monotonic clock have nothing to do with each other. */
const NOW = 1_790_000_000_000
const MONOTONIC = 5_000

const window = (more: Partial<PairingWindow> = {}): PairingWindow => ({
  id: 'w1',
  method: 'qr',
  replace: false,
  openedAtMs: NOW - 1_000,
  expiresAtMs: NOW + 60_000,
  ...more,
})

const BLOCK_GENERATION = 5
const later = BLOCK_GENERATION + 1

describe('a block is lifted', () => {
  const rows: readonly [says: string, phase: Phase, want: Partial<Want>, lifted: boolean][] = [
    ['E1 never by itself', 'conflict', { generation: later }, false],
    ['by a resume that came later', 'conflict', { generation: later, resume: later }, true],
    ['by a restart that came later', 'failed', { generation: later, restart: later }, true],
    ['but not by an older one', 'failed', { generation: later, resume: BLOCK_GENERATION, restart: 1 }, false],
    ['by a pairing window after a logout', 'logged_out', { generation: later, pairing: window() }, true],
    ['by a pairing window after a ban', 'banned', { generation: later, pairing: window() }, true],
    ['by a pairing window after a failure', 'failed', { generation: later, pairing: window() }, true],
    ['but no pairing ends a conflict', 'conflict', { generation: later, pairing: window() }, false],
    ['or a restriction', 'restricted', { generation: later, pairing: window() }, false],
    [
      'nor a window that is over',
      'failed',
      { generation: later, pairing: window({ expiresAtMs: NOW }) },
      false,
    ],
    ['nor one that was there before', 'failed', { generation: BLOCK_GENERATION, pairing: window() }, false],
  ]
  test.for(rows)('%s', ([, phase, want, lifted]) => {
    expect(liftsBlock(sessionOf({ want }), phase, BLOCK_GENERATION, NOW)).toBe(lifted)
  })
})

test('a person spoke who asked for another try since the status was written', () => {
  const asked = (want: Partial<Want>, observedGeneration: number): boolean =>
    personSpoke(sessionOf({ want, status: statusOf({ observedGeneration }) }))
  expect(asked({ resume: 3 }, 2)).toBe(true)
  expect(asked({ restart: 3 }, 2)).toBe(true)
  expect(asked({ resume: 3, restart: 1 }, 3)).toBe(false)
  expect(asked({}, 0)).toBe(false)
  expect(personSpoke(sessionOf({ want: { restart: 1 }, status: undefined }))).toBe(true)
})

describe('the block of a stored status', () => {
  const blockOf = (status: Partial<Status> | undefined, want: Partial<Want> = {}) =>
    storedBlock(sessionOf({ want, status: status && statusOf(status) }), NOW)

  test.for(['conflict', 'logged_out', 'banned', 'failed', 'restricted'] as const)('E1 is %s', (phase) => {
    expect(blockOf({ phase })).toEqual({ phase, until: undefined })
  })

  test.for(['connected', 'backing_off', 'stopped', 'pending', 'unpaired', 'outdated'] as const)(
    'is nothing for %s',
    (phase) => {
      expect(blockOf({ phase })).toBeUndefined()
    },
  )

  test('is nothing for a session that nobody has looked at', () => {
    expect(blockOf(undefined)).toBeUndefined()
  })

  test('D1 a restriction ends at its time', () => {
    expect(blockOf({ phase: 'restricted', until: NOW + 1 })).toEqual({ phase: 'restricted', until: NOW + 1 })
    expect(blockOf({ phase: 'restricted', until: NOW })).toBeUndefined()
  })

  test('ends with a person’s word', () => {
    expect(blockOf({ phase: 'conflict' }, { generation: 2, resume: 2 })).toBeUndefined()
  })
})

describe('a pairing window is open', () => {
  const isOpen = (
    pairing: Partial<PairingWindow>,
    more: { live?: Seen; status?: Partial<Status> } = {},
  ): boolean => {
    const session = sessionOf({ want: { pairing: window(pairing) }, status: statusOf(more.status) })
    return openWindow(session, more.live && viewOf(more.live), NOW) !== undefined
  }

  test('until it expires', () => {
    expect(isOpen({ expiresAtMs: NOW + 1 })).toBe(true)
    expect(isOpen({ expiresAtMs: NOW })).toBe(false)
    expect(openWindow(sessionOf(), undefined, NOW)).toBeUndefined()
  })

  test('until it was given up, here or by the owner before', () => {
    expect(isOpen({}, { live: { pairing: { endedWindowId: 'w1' } } })).toBe(false)
    expect(isOpen({}, { status: { endedWindowId: 'w1' } })).toBe(false)
    expect(isOpen({}, { live: { pairing: { endedWindowId: 'w0' } }, status: { endedWindowId: 'w0' } })).toBe(
      true,
    )
  })

  test('until somebody paired in it', () => {
    expect(isOpen({}, { live: { identity: { authenticatedAt: NOW - 1_000 } } })).toBe(false)
    expect(isOpen({}, { status: { authenticatedAt: NOW } })).toBe(false)
    expect(isOpen({}, { status: { authenticatedAt: NOW - 1_001 } })).toBe(true)
  })
})

describe('observing', () => {
  const see = (more: Partial<Observation> = {}) =>
    observe({
      key: KEY,
      session: sessionOf(),
      owner: { runnerId: 'me' as RunnerId, epoch: 1, since: 1, nonce: 'n' },
      jobs: [],
      jobWaits: false,
      live: viewOf({ connection: openView() }),
      lease: 'good',
      draining: false,
      leaving: false,
      me: 'me',
      ownerAlive: true,
      unreleased: false,
      claimAtMs: 0,
      breakerUntilMs: 0,
      nowMs: NOW,
      monotonicMs: MONOTONIC,
      ...more,
    })
  const bare = { live: undefined }

  test('sees a connected session of ours as it is', () => {
    expect(see()).toEqual({
      want: { state: 'running', deleting: false, restart: 0 },
      have: {
        lease: 'good',
        draining: false,
        leaving: false,
        owner: 'ours',
        unreleased: false,
        claimAtMs: 0,
        state: 'loaded',
        readable: false,
        removeAtMs: 0,
        paired: true,
        socket: 'open',
        socketGeneration: 1,
        block: undefined,
        retryAtMs: 0,
        breakerUntilMs: 0,
        job: undefined,
        pairingUntilMs: 0,
        behind: false,
        owes: false,
      },
    })
  })

  test('E7 another’s session is theirs while their runner lives, and claimable afterwards', () => {
    const owner = { runnerId: 'other' as RunnerId, epoch: 1, since: 1, nonce: 'n' }
    expect(see({ owner, ownerAlive: true }).have.owner).toBe('theirs')
    expect(see({ owner, ownerAlive: false }).have.owner).toBe('claimable')
    expect(see({ owner: undefined, ownerAlive: false }).have.owner).toBe('claimable')
  })

  test('C1 what is not live here is paired by its status', () => {
    const paired = (status: Partial<Status> | undefined): boolean =>
      see({ ...bare, session: sessionOf({ status: status && statusOf(status) }) }).have.paired
    expect(paired({ authenticatedAt: 1 })).toBe(true)
    expect(paired({ authenticatedAt: 1, phase: 'logged_out' })).toBe(false)
    expect(paired({})).toBe(false)
    expect(paired(undefined)).toBe(false)
  })

  test('what is live here is paired by its credentials, whatever the status says', () => {
    const session = sessionOf({ status: statusOf({ authenticatedAt: 1 }) })
    expect(see({ session, live: viewOf({ identity: { paired: false } }) }).have.paired).toBe(false)
    expect(see({ session: sessionOf(), live: viewOf({ identity: { paired: true } }) }).have.paired).toBe(true)
  })

  test('times of the wall clock become monotonic ones', () => {
    const pairing = window({ expiresAtMs: NOW + 700 })
    const status = statusOf({ phase: 'restricted', until: NOW + 900 })
    const { have } = see({ ...bare, session: sessionOf({ want: { pairing }, status }) })
    expect(have.pairingUntilMs).toBe(MONOTONIC + 700)
    expect(have.block).toEqual({ untilMs: MONOTONIC + 900 })
  })

  test('a rehydrated session has the block that it has here, not that of the status', () => {
    const session = sessionOf({ status: statusOf({ phase: 'failed' }) })
    expect(see({ ...bare, session }).have.block).toEqual({ untilMs: undefined })
    expect(see({ session, live: viewOf() }).have.block).toBeUndefined()
    const block = aBlock('conflict')
    expect(see({ live: viewOf({ retry: { block } }) }).have.block).toEqual({ untilMs: undefined })
  })

  test('A4 a replacing window stands for unpaired, and moves a paired connection out of the way', () => {
    const session = sessionOf({ want: { pairing: window({ replace: true }) } })
    const paired = see({ session, live: viewOf({ connection: openView({ asPaired: true }) }) })
    expect(paired.have.paired).toBe(false)
    expect(paired.want.restart).toBe(Number.MAX_SAFE_INTEGER)
    const pairing = connectingView({ asPaired: false, windowId: 'w1' })
    expect(see({ session, live: viewOf({ connection: pairing }) }).want.restart).toBe(0)
  })

  test('a connection that shows the code of another window is to be replaced', () => {
    const session = sessionOf({ want: { pairing: window({ id: 'w2' }) } })
    const identity = { paired: false }
    const connection = connectingView({ asPaired: false, windowId: 'w1' })
    expect(see({ session, live: viewOf({ identity, connection }) }).want.restart).toBeGreaterThan(1)
    expect(see({ session, live: viewOf({ identity }) }).want.restart).toBe(0)
  })

  test('F19: a connection by another proxy is to be replaced, and what failed by that one is not waited for', () => {
    const proxyOf = (sealed: string) => ({ shown: 'http://proxy.example', sealed, mark: sealed })
    const session = sessionOf({ want: { proxy: proxyOf('b') } })
    const seen = (proxy: Want['proxy'], more: Seen = {}) => see({ session, live: viewOf({ proxy, ...more }) })
    const open = { connection: openView() }
    expect(seen(proxyOf('b'), open).want.restart).toBe(0)
    for (const proxy of [proxyOf('a'), undefined])
      expect(seen(proxy, open).want.restart).toBe(Number.MAX_SAFE_INTEGER)
    expect(see({ live: viewOf({ proxy: proxyOf('a'), ...open }) }).want.restart).toBe(Number.MAX_SAFE_INTEGER)
    const failed = { retry: { retryAtMs: MONOTONIC + 7 } }
    expect(seen(proxyOf('b'), failed).have.retryAtMs).toBe(MONOTONIC + 7)
    expect(seen(proxyOf('a'), failed).have.retryAtMs).toBe(0)
  })

  test('only the oldest job counts', () => {
    const jobs = [job(1), job(2)]
    expect(see({ jobs }).have.job).toEqual({ id: 'job-1', kind: 'snapshot' })
  })

  test('is behind until the status answers to the newest want', () => {
    const session = (observedGeneration: number) =>
      sessionOf({ want: { generation: 3 }, status: statusOf({ observedGeneration }) })
    expect(see({ session: session(2) }).have.behind).toBe(true)
    expect(see({ session: session(3) }).have.behind).toBe(false)
    expect(see({ session: sessionOf({ status: undefined }) }).have.behind).toBe(true)
  })

  test('a removal is read as long as there are keys for its state, and nothing keeps it from being rebuilt', () => {
    const want = { deleting: { purge: false } }
    const keys = [{ id: 'k', wrapped: new Uint8Array(), keyVersion: 'v', createdAt: 1 }]
    const removed = { ...sessionOf({ want }), dataKeys: keys }
    expect(see({ session: removed }).want.deleting).toBe(true)
    expect(see({ session: removed }).have.readable).toBe(true)
    expect(see({ session: sessionOf({ want }) }).have.readable).toBe(false)
    const block = aBlock('failed', { why: 'wrong_key' })
    expect(see({ session: removed, live: viewOf({ retry: { block } }) }).have.readable).toBe(false)
  })

  test('a removal waits for the end of an unlinking, or for the time of its next try', () => {
    const live = viewOf({ superseded: { devices: [], notBeforeMs: MONOTONIC + 7 } })
    expect(see({ live }).have.removeAtMs).toBe(MONOTONIC + 7)
    expect(see({ live, unlinking: true }).have.removeAtMs).toBe(Infinity)
  })
})
