import { expect, test } from 'vitest'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import { controlWorld } from '../control.fixture.ts'
import type { ControlWorld } from '../control.fixture.ts'
import { choose } from './snapshots.ts'

const T0 = Date.parse('2026-11-01T00:00:00Z')
const snapshot = (id: string, hour: number, more: Partial<SnapshotRecord> = {}): SnapshotRecord => ({
  id,
  object: `snapshots/acme/main/${id}`,
  seq: hour,
  epoch: 1,
  bytes: 100,
  sha256: 'ab',
  dataKeyId: 'k',
  reason: 'age',
  clean: true,
  at: T0 + hour * 3_600_000,
  ...more,
})

const main = '/v1/sessions/main'

async function withSnapshots(...records: SnapshotRecord[]): Promise<ControlWorld> {
  const world = await controlWorld()
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
  for (const record of records) await world.stores.snapshots.record(world.key('main'), record)
  return world
}

const restore = (world: ControlWorld, body: object) =>
  world.ask('POST', `${main}/restore?tenant=acme`, { body })
const jobOf = (world: ControlWorld, id: string) => world.stores.jobs.get(world.key('main'), id)

test('D2 lists backups, the newest first, without telling where they lie', async () => {
  await using world = await withSnapshots(snapshot('a', 1), snapshot('b', 2, { label: 'before-update' }))
  const { items } = (await world.ask('GET', `${main}/snapshots?tenant=acme`)).body
  expect(items).toMatchObject([
    { id: 'b', label: 'before-update', at: '2026-11-01T02:00:00.000Z' },
    { id: 'a', label: null, quarantined: null },
  ])
  expect(items[0]).not.toHaveProperty('object')
})

test('takes a backup as a job, with or without a label or a body', async () => {
  await using world = await withSnapshots()
  const take = (body?: object) => world.ask('POST', `${main}/snapshots?tenant=acme`, body ? { body } : {})
  const labelled = await take({ label: 'before-update' })
  expect(labelled.status).toBe(202)
  expect(await jobOf(world, labelled.body.job)).toMatchObject({
    kind: 'snapshot',
    args: { label: 'before-update' },
  })
  const plain = await take()
  expect(await jobOf(world, plain.body.job)).toMatchObject({ kind: 'snapshot', args: {} })
})

test('D2 restores the newest backup, one by its id or one by its time, over HTTP', async () => {
  await using world = await withSnapshots(
    snapshot('a', 1),
    snapshot('b', 2),
    snapshot('bad', 3, { quarantined: 'torn' }),
  )
  const rows: [object, string][] = [
    [{ latest: true }, 'b'],
    [{ snapshot: 'a' }, 'a'],
    [{ at: '2026-11-01T01:30:00Z' }, 'a'],
    [{ at: '2026-11-01T02:00:00+00:00' }, 'b'],
  ]
  for (const [body, id] of rows) {
    const answer = await restore(world, body)
    expect(answer.status).toBe(202)
    expect((await jobOf(world, answer.body.job))?.args).toEqual({ snapshot: id, force: false })
  }
})

test('refuses a restore that names no backup, two, or one that is not there', async () => {
  await using world = await withSnapshots(snapshot('a', 1))
  expect((await restore(world, {})).status).toBe(422)
  expect((await restore(world, { latest: true, snapshot: 'a' })).status).toBe(422)
  expect((await restore(world, { at: 'yesterday' })).body).toMatchObject({ status: 422 })
  expect((await restore(world, { snapshot: 'z' })).body).toMatchObject({ status: 404, field: 'snapshot' })
  expect((await restore(world, { at: '2020-01-01T00:00:00Z' })).body).toMatchObject({
    status: 404,
    field: 'at',
  })
})

test('restores over newer, healthy credentials only by force', async () => {
  await using world = await withSnapshots(snapshot('a', 1))
  await world.report('main', { phase: 'connected', authenticatedAt: 1 })
  expect((await restore(world, { latest: true })).body).toMatchObject({ status: 409, code: 'newer_state' })
  const forced = await restore(world, { latest: true, force: true })
  expect((await jobOf(world, forced.body.job))?.args).toEqual({ snapshot: 'a', force: true })
  await world.report('main', { phase: 'logged_out', authenticatedAt: 1 })
  expect((await restore(world, { latest: true })).status).toBe(202)
})

test('never chooses a backup that is known to be damaged', () => {
  const bad = snapshot('bad', 3, { quarantined: 'torn' })
  expect(choose([bad, snapshot('a', 1)], { latest: true }).id).toBe('a')
  expect(() => choose([bad], { latest: true })).toThrow(/no usable backup/)
  expect(() => choose([bad], { snapshot: 'bad' })).toThrow(/can't be used: torn/)
})
