import { describe, expect, test } from 'vitest'
import { parseRunnerId, parseSessionId, parseTenantId, sessionKey } from '#shared/ids.ts'
import { unseenStatus, type Session, type Status } from '#shared/session.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import { newSession } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { MemoryDatabase } from '#test/simulation/memory/database.ts'
import { memoryStores } from '#test/simulation/memory/stores.ts'
import { createFleet } from './fleet.ts'
import { problemsOf, surveySessions, type Survey } from './survey.ts'

const TENANT = parseTenantId('acme')
const KEY = sessionKey(TENANT, parseSessionId('shop'))
const statusOf = (more: Partial<Status>): Status => ({ ...unseenStatus(1), phase: 'connected', ...more })
const sessionOf = (status: Status): Session => ({
  tenant: TENANT,
  id: parseSessionId('shop'),
  want: { state: 'running', generation: 1, metadata: {} },
  status,
  dataKeys: [],
  createdAt: 1,
  updatedAt: 1,
})
const snapshot = (more: Partial<SnapshotRecord> = {}): SnapshotRecord => ({
  id: '1-2-abc',
  object: 'snapshots/acme/shop/1-2-abc',
  seq: 2,
  epoch: 1,
  bytes: 100,
  sha256: 'x',
  dataKeyId: 'key-1',
  reason: 'size',
  clean: true,
  at: 1,
  ...more,
})
const dataKey = { id: 'key-1', wrapped: Buffer.of(1), keyVersion: '1', createdAt: 1 }
const sound = (more: Partial<Survey> = {}): Survey => ({
  phase: 'connected',
  credentials: 'good',
  session: { ...sessionOf(statusOf({ authenticatedAt: 1 })), dataKeys: [dataKey] },
  hasTenant: true,
  owner: undefined,
  snapshots: [snapshot()],
  head: { seq: 3, epoch: 1, nonce: 'n' },
  ...more,
})

describe('C6 what a person should look at', () => {
  test('of a sound session is nothing', () => {
    expect(problemsOf(sound())).toEqual([])
  })

  test('of a session whose first backup is still to come is nothing: its journal holds everything', () => {
    expect(problemsOf(sound({ snapshots: [] }))).toEqual([])
  })

  test('names that no backup is left', () => {
    const problems = problemsOf(sound({ snapshots: [snapshot({ quarantined: 'seal' })] }))
    expect(problems).toEqual([
      expect.stringMatching(/is damaged: seal/),
      expect.stringMatching(/none of its backups can be used/),
    ])
  })

  test('of a session that was never paired is nothing', () => {
    const session = sessionOf(statusOf({ phase: 'unpaired' }))
    const never = sound({ session, phase: 'unpaired', credentials: 'none', snapshots: [], head: undefined })
    expect(problemsOf(never)).toEqual([])
  })

  test.for<[what: string, more: Partial<Survey>, says: RegExp]>([
    ['an orphan', { hasTenant: false }, /tenant does not exist/],
    ['a damaged backup', { snapshots: [snapshot({ quarantined: 'seal' }), snapshot()] }, /1-2-abc.*seal/],
    [
      'a backup of a lost key',
      { snapshots: [snapshot({ dataKeyId: 'old' }), snapshot()] },
      /data key is gone/,
    ],
    ['nothing stored', { snapshots: [], head: undefined }, /nothing is stored/],
    ['no data key', { snapshots: [], session: { ...sound().session, dataKeys: [] } }, /can’t be opened/],
  ])('names %s', ([, more, says]) => {
    expect(problemsOf(sound(more))).toEqual([expect.stringMatching(says)])
  })

  test('names what waits, since when', () => {
    const waiting = [{ what: 'inbox', since: 0 }] as const
    const session = { ...sound().session, status: statusOf({ authenticatedAt: 1, waiting }) }
    expect(problemsOf(sound({ session }))).toEqual([
      'messages that came in are not in the feed, since 1970-01-01T00:00:00.000Z',
    ])
  })

  test.for(['conflict', 'logged_out', 'banned', 'outdated', 'failed'] as const)('names %s', (phase) => {
    expect(problemsOf(sound({ phase, reason: 'so it is' }))).toEqual([`${phase}: so it is`])
  })

  test.for(['pending', 'backing_off', 'pairing', 'stopped'] as const)(
    'is nothing while it is %s',
    (phase) => {
      expect(problemsOf(sound({ phase, reason: 'so it is' }))).toEqual([])
    },
  )
})

test('C6 finds every session with its owner, its backups and its journal, or those of one tenant', async () => {
  const stores = memoryStores(new MemoryDatabase(() => 1))
  await stores.tenants.create({
    id: TENANT,
    name: 'A',
    limits: { sessions: 9 },
    createdAt: 1,
  })
  await stores.sessions.create(newSession('acme', 'shop'))
  await stores.sessions.create(newSession('nobody', 'lost'))
  await stores.owners.claim({ key: KEY, runnerId: parseRunnerId('r1'), expectEpoch: 0, nonce: 'n', nowMs: 1 })
  await stores.snapshots.record(KEY, snapshot())
  await stores.journal.append(KEY, { seq: 1, epoch: 1, nonce: 'n', sealed: Buffer.of(1) })
  const fleet = createFleet(stores, fakeClock())
  const all = await Array.fromAsync(surveySessions(stores, fleet))
  expect(all.map(({ session, hasTenant, phase }) => [session.id, hasTenant, phase])).toEqual([
    ['shop', true, 'pending'],
    ['lost', false, 'pending'],
  ])
  expect(all[0]).toMatchObject({
    owner: { runnerId: 'r1', epoch: 1 },
    snapshots: [{ id: '1-2-abc' }],
    head: { seq: 1, epoch: 1 },
  })
  expect(await Array.fromAsync(surveySessions(stores, fleet, parseTenantId('nobody')))).toHaveLength(1)
})
