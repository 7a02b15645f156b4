import { expect, test } from 'vitest'
import type { TenantId } from '#shared/ids.ts'
import { importsOf } from '#shared/registry.ts'
import type { Phase, Status } from '#shared/session.ts'
import { RUNNER, controlWorld } from '../control.fixture.ts'
import type { ControlWorld } from '../control.fixture.ts'

const DAY_MS = 86_400_000

async function withSessions(...ids: string[]): Promise<ControlWorld> {
  const world = await controlWorld()
  for (const id of ids) await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id } })
  return world
}

test('/health/live answers without a key, whatever the stores do', async () => {
  await using world = await controlWorld()
  await world.stores.close()
  expect((await world.ask('GET', '/health/live', { key: '' })).body).toEqual({ status: 'alive' })
})

test('/health/ready answers 200 while the stores do, 503 when they do not, and tells nobody why', async () => {
  await using world = await controlWorld()
  const ready = () => world.ask('GET', '/health/ready', { key: '' })
  expect(await ready()).toMatchObject({
    status: 200,
    body: { status: 'ready', stores: 'ok', version: '1.2.3' },
  })
  world.stores.check = () => Promise.reject(new Error('password 1234 refused by db.internal'))
  expect((await ready()).status).toBe(200)
  await world.clock.advance(2_000)
  const down = await ready()
  expect(down.status).toBe(503)
  expect(down.body).toEqual({ status: 'unavailable', stores: 'internal', version: '1.2.3' })
})

test('C1 tells whether credentials are valid and complete, without a QR', async () => {
  await using world = await withSessions('main')
  const health = async () => (await world.ask('GET', '/v1/sessions/main/health?tenant=acme')).body
  expect(await health()).toMatchObject({ healthy: false, credentials: { state: 'none', needsPairing: true } })
  const rows: [Phase, state: string, needsPairing: boolean, healthy: boolean][] = [
    ['connected', 'good', false, true],
    ['backing_off', 'good', false, false],
    ['conflict', 'good', false, false],
    ['logged_out', 'archived', true, false],
    ['failed', 'doubtful', false, false],
  ]
  for (const [phase, state, needsPairing, healthy] of rows) {
    await world.report('main', { phase, authenticatedAt: 1, attempts: 3 })
    expect(await health()).toMatchObject({
      phase,
      healthy,
      alert: true,
      credentials: { state, needsPairing },
    })
  }
})

test('calls no session healthy of which something has waited for longer than a minute, and says what', async () => {
  await using world = await withSessions('main')
  const health = async () => (await world.ask('GET', '/v1/sessions/main/health?tenant=acme')).body
  const since = world.clock.nowMs()
  const at = new Date(since).toISOString()
  await world.report('main', { phase: 'connected', waiting: [{ what: 'inbox', since }] })
  expect(await health()).toMatchObject({
    healthy: true,
    reason: null,
    waiting: [{ what: 'inbox', since: at }],
  })
  await world.clock.advance(60_000)
  await world.report('main', {
    phase: 'connected',
    waiting: [
      { what: 'inbox', since },
      { what: 'outbox', since },
    ],
  })
  expect(await health()).toMatchObject({
    healthy: false,
    phase: 'connected',
    reason:
      `messages that came in are not in the feed, since ${at}; ` +
      `messages do not leave, although it is connected, since ${at}`,
  })
  const { body } = await world.ask('GET', '/v1/sessions/main?tenant=acme')
  expect(body.status.waiting).toHaveLength(2)
  const metrics = await world.ask('GET', '/metrics')
  expect(metrics.body).toContain('mooring_sessions_waiting{what="outbox"} 1')
  expect(metrics.body).toContain('mooring_sessions_waiting{what="writes"} 0')
  await world.report('main', { phase: 'connected' })
  expect(await health()).toMatchObject({ healthy: true, reason: null, waiting: [] })
})

test('B3 calls no session healthy whose runner is dead', async () => {
  await using world = await withSessions('main')
  await world.report('main', { phase: 'connected', authenticatedAt: 1 })
  await world.clock.advance(10_000)
  expect((await world.ask('GET', '/v1/sessions/main/health?tenant=acme')).body).toMatchObject({
    healthy: false,
    phase: 'pending',
    owner: { alive: false },
    credentials: { state: 'good' },
  })
})

test('B7 C7 tells the uptime of a session and how long its connections last', async () => {
  await using world = await withSessions('main')
  const uptime = async () => (await world.ask('GET', '/v1/sessions/main/uptime?tenant=acme')).body
  expect(await uptime()).toMatchObject({ ratio: null, meanConnectionMs: null })
  await world.report('main', {
    phase: 'connected',
    connectedAt: 5_000,
    uptime: { connectedMs: 900, wantedMs: 1_000, connects: 3, disconnects: 2 },
  })
  expect(await uptime()).toMatchObject({
    ratio: 0.9,
    meanConnectionMs: 300,
    disconnects: 2,
    connectedSince: '1970-01-01T00:00:05.000Z',
  })
})

test('B2 B7 reports what was restored, what failed and why, and what is on its way', async () => {
  await using world = await withSessions('a', 'b', 'c', 'd', 'e')
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'f', want: { state: 'stopped' } } })
  await world.ask('POST', '/v1/sessions?tenant=rival', { body: { id: 'a' } })
  const uptime: Status['uptime'] = { connectedMs: 50, wantedMs: 100, connects: 1, disconnects: 0 }
  await world.report('a', { phase: 'connected', uptime })
  await world.report('b', { phase: 'failed', reason: 'the credentials are damaged', attempts: 4 })
  await world.report('c', { phase: 'backing_off', attempts: 3 })
  await world.report('d', { phase: 'unpaired' })
  const { body } = await world.ask('GET', '/v1/report?tenant=acme')
  expect(body).toMatchObject({
    total: 6,
    wanted: 5,
    restored: 1,
    connected: 1,
    waiting: 2,
    failed: 1,
    unpaired: 1,
    stopped: 1,
    rate: 0.25,
    phases: { connected: 1, failed: 1, pending: 1, stopped: 1 },
    failures: [{ tenant: 'acme', id: 'b', phase: 'failed', reason: 'the credentials are damaged' }],
    uptime: { ratio: 0.5 },
    runners: { alive: 1, draining: 0 },
  })
  expect(body.alerts.map(({ id }: { id: string }) => id)).toEqual(['b', 'c'])
  expect((await world.ask('GET', '/v1/report')).body.total).toBe(7)
  const key = await world.keyOf('rival', 'read')
  expect((await world.ask('GET', '/v1/report', { key })).body.total).toBe(1)
})

test('lists runners, and has one drain', async () => {
  await using world = await withSessions('main')
  await world.report('main', { phase: 'connected' })
  expect((await world.ask('GET', '/v1/runners')).body.items).toMatchObject([
    { id: RUNNER, alive: true, draining: false, held: 1 },
  ])
  expect((await world.ask('POST', `/v1/runners/${RUNNER}/drain`)).status).toBe(202)
  await world.clock.advance(600)
  expect((await world.ask('GET', '/v1/runners')).body.items).toMatchObject([{ id: RUNNER, draining: true }])
  expect((await world.ask('POST', '/v1/runners/nobody/drain')).status).toBe(404)
})

test('counts sessions and requests for Prometheus, without a name in a label', async () => {
  await using world = await withSessions('main', 'other')
  await world.report('main', { phase: 'connected' })
  const made = await world.ask('POST', '/v1/keys', { body: { name: 'prom', scopes: ['read'], tenant: null } })
  const { status, body } = await world.ask('GET', '/metrics', { key: made.body.key })
  expect(status).toBe(200)
  expect(body).toContain('mooring_sessions{phase="connected"} 1')
  expect(body).toContain('mooring_sessions{phase="pending"} 1')
  expect(body).toContain('mooring_runners{draining="false"} 1')
  expect(body).toContain('mooring_http_requests_total{method="POST",route="/v1/sessions",status="201"} 2')
  await world.ask('GET', '/v1/sessions/main?tenant=acme')
  expect((await world.ask('GET', '/metrics')).body).toContain('route="/v1/sessions/:id",status="200"')
})

test('C3 sweeps what was stopped or logged out for 30 days, after a dry run that changes nothing', async () => {
  await using world = await withSessions('fresh', 'gone', 'resting', 'running', 'untouched')
  for (const id of ['resting', 'untouched']) await world.ask('POST', `/v1/sessions/${id}/stop?tenant=acme`)
  await world.report('gone', { phase: 'logged_out' })
  await world.report('resting', { phase: 'stopped' })
  await world.report('running', { phase: 'connected' })
  await world.clock.advance(31 * DAY_MS)
  await world.report('fresh', { phase: 'logged_out' })
  const sweep = (body?: object) => world.ask('POST', '/v1/maintenance/sweep', body ? { body } : {})
  const dry = (await sweep()).body
  expect(dry).toMatchObject({
    dryRun: true,
    kept: 2,
    records: null,
    sessions: [
      { id: 'gone', why: 'logged_out' },
      { id: 'resting', why: 'stopped' },
      { id: 'untouched', why: 'stopped' },
    ],
  })
  expect(await world.stores.removals.get(world.key('gone'))).toBeUndefined()
  const real = (await sweep({ dryRun: false })).body
  expect(real.sessions).toEqual(dry.sessions)
  expect(await world.stores.removals.get(world.key('gone'))).toMatchObject({
    phase: 'unlinking',
    purge: false,
    by: expect.stringContaining('swept: logged_out'),
  })
  expect(await world.stores.sessions.get(world.key('gone'))).toBeUndefined()
  expect(await world.stores.sessions.get(world.key('untouched'))).toBeUndefined()
  expect((await world.stores.sessions.get(world.key('running')))?.want.deleting).toBeUndefined()
  expect((await sweep()).body.sessions).toEqual([])
})

test('E3 finds and removes sessions of a tenant that does not exist, and leaves valid ones untouched', async () => {
  await using world = await withSessions('main')
  await world.ask('POST', '/v1/sessions?tenant=rival', { body: { id: 'orphan' } })
  await world.stores.tenants.remove('rival' as TenantId)
  const { body } = await world.ask('POST', '/v1/maintenance/sweep', { body: { dryRun: false } })
  expect(body).toMatchObject({ sessions: [{ tenant: 'rival', id: 'orphan', why: 'orphan' }], kept: 1 })
  expect(await world.stores.sessions.get(world.key('orphan', 'rival'))).toBeUndefined()
  expect((await world.stores.sessions.get(world.key('main')))?.want.generation).toBe(1)
})

test('sweeps files of imports whose job is over or gone', async () => {
  await using world = await withSessions('main')
  await world.stores.blobs.create('imports/acme/main/lost', [Buffer.from('x')])
  const post = await world.ask('POST', '/v1/sessions/main/import?tenant=acme', {
    body: { files: { 'creds.json': 'e30=' } },
  })
  expect(post.status).toBe(202)
  const sweep = async () =>
    (await world.ask('POST', '/v1/maintenance/sweep', { body: { dryRun: false } })).body.files
  expect(await sweep()).toBe(1)
  expect(await world.stores.blobs.list('imports/')).toEqual([
    `${importsOf(world.key('main'))}${post.body.job}`,
  ])
})

test('removes a tenant without sessions, with its keys, and no other', async () => {
  await using world = await withSessions('main')
  const key = await world.keyOf('rival', 'read')
  expect((await world.ask('DELETE', '/v1/tenants/acme')).body).toMatchObject({
    status: 409,
    code: 'conflict',
  })
  expect((await world.ask('DELETE', '/v1/tenants/rival')).status).toBe(204)
  expect((await world.ask('GET', '/v1/sessions', { key })).status).toBe(401)
  expect((await world.ask('GET', '/v1/tenants')).body.items).toMatchObject([{ id: 'acme' }])
})
