import { expect, test } from 'vitest'
import { controlWorld } from '../control.fixture.ts'
import type { ControlWorld } from '../control.fixture.ts'

const main = '/v1/sessions/main'
const post = (world: ControlWorld, verb: string, headers: Record<string, string> = {}) =>
  world.ask('POST', `${main}/${verb}?tenant=acme`, { headers })

async function withSession(want: object = {}): Promise<ControlWorld> {
  const world = await controlWorld()
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main', want } })
  return world
}

test('start and stop are idempotent: a repeat is no new generation', async () => {
  await using world = await withSession()
  expect((await post(world, 'start')).body.want).toEqual({ state: 'running', generation: 1, metadata: {} })
  expect((await post(world, 'stop')).body.want).toMatchObject({ state: 'stopped', generation: 2 })
  expect((await post(world, 'stop')).body.want).toMatchObject({ state: 'stopped', generation: 2 })
})

test('a start by a person lifts the bar that a stopped session stood at', async () => {
  await using world = await withSession({ state: 'stopped' })
  expect((await post(world, 'start')).body.want).toMatchObject({ state: 'running', generation: 2, resume: 2 })
})

test('restart asks for a socket of the new generation, and starts what is stopped', async () => {
  await using world = await withSession({ state: 'stopped' })
  expect((await post(world, 'restart')).body.want).toMatchObject({
    state: 'running',
    generation: 2,
    restart: 2,
  })
  expect((await post(world, 'restart')).body.want).toMatchObject({ generation: 3, restart: 3 })
})

test('restarts once under one Idempotency-Key, also when If-Match names the generation before', async () => {
  await using world = await withSession()
  const once = { 'idempotency-key': 'click', 'if-match': '"1"' }
  expect((await post(world, 'restart', once)).body.want).toMatchObject({ generation: 2, restart: 2 })
  expect((await post(world, 'restart', once)).body.want).toMatchObject({ generation: 2, restart: 2 })
  expect((await post(world, 'restart', { 'if-match': '"1"' })).body.code).toBe('stale')
  const { items } = (await world.ask('GET', `${main}/events?tenant=acme`)).body
  expect(items.filter(({ why }: { why: string }) => why === 'restart').length).toBe(1)
})

test('E1 resume lets a session go on that stood at a conflict', async () => {
  await using world = await withSession()
  await world.report('main', { phase: 'conflict', reason: 'another process uses it', authenticatedAt: 1 })
  const { body, status } = await post(world, 'resume')
  expect(status).toBe(202)
  expect(body.want).toMatchObject({ state: 'running', generation: 2, resume: 2 })
  expect(body.status).toMatchObject({ phase: 'conflict', observedGeneration: 1 })
})

test('stop closes a pairing window', async () => {
  await using world = await withSession()
  await world.ask('POST', `${main}/pairing?tenant=acme`, { body: { method: 'qr' } })
  expect((await post(world, 'stop')).body.want).not.toHaveProperty('pairing')
})

test('D5 logout is a job that is asked for once, however often the button is pressed', async () => {
  await using world = await withSession()
  await world.report('main', { phase: 'connected', authenticatedAt: 1 })
  const first = await post(world, 'logout')
  expect(first.status).toBe(202)
  expect(first.body).toMatchObject({ id: 'main', status: { phase: 'connected' }, job: expect.any(String) })
  expect((await post(world, 'logout')).body.job).toBe(first.body.job)
  const job = await world.ask('GET', `${first.headers.get('location')}?tenant=acme`)
  expect(job.body).toMatchObject({ kind: 'logout', state: 'open', by: 'control:bootstrap', finishedAt: null })
  await world.stores.jobs.finish(world.key('main'), first.body.job, {
    state: 'done',
    nowMs: world.clock.nowMs(),
  })
  expect((await world.ask('GET', `${main}/jobs/${first.body.job}?tenant=acme`)).body.state).toBe('done')
})

test('a job that is over is asked for anew, except under the same Idempotency-Key', async () => {
  await using world = await withSession()
  const once = { 'idempotency-key': 'once' }
  const first = await post(world, 'reset', once)
  await world.stores.jobs.finish(world.key('main'), first.body.job, { state: 'done', nowMs: 1 })
  expect((await post(world, 'reset', once)).body.job).toBe(first.body.job)
  expect((await post(world, 'reset')).body.job).not.toBe(first.body.job)
})

test('refuses to log out of what was never paired', async () => {
  await using world = await withSession()
  expect((await post(world, 'logout')).body).toMatchObject({ status: 409, code: 'no_state' })
})

test('E4 C7 reset and rotate-keys are jobs for a runner', async () => {
  await using world = await withSession()
  for (const [verb, kind] of [
    ['reset', 'reset'],
    ['rotate-keys', 'rotate'],
  ] as const) {
    const { body } = await post(world, verb)
    expect((await world.stores.jobs.get(world.key('main'), body.job))?.kind).toBe(kind)
  }
})

test('C5 writes every change to the audit trail, with the beginning of the key that asked for it', async () => {
  await using world = await withSession()
  const key = await world.keyOf('acme', 'control')
  for (const verb of ['stop', 'stop', 'reset']) {
    await world.clock.advance(1)
    await world.ask('POST', `${main}/${verb}`, { key })
  }
  const { items } = (await world.ask('GET', `${main}/events?tenant=acme`)).body
  const prefix = key.split('_').slice(0, 2).join('_')
  expect(items).toMatchObject([
    { kind: 'job', why: 'reset', by: `control:${prefix}` },
    { kind: 'want', why: 'stop', from: 'running', to: 'stopped', by: `control:${prefix}` },
    { kind: 'want', why: 'create', by: 'control:bootstrap' },
  ])
})
