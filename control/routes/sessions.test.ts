import { expect, test } from 'vitest'
import { controlWorld } from '../control.fixture.ts'
import type { ControlWorld } from '../control.fixture.ts'

const at = '/v1/sessions/main?tenant=acme'
const create = (world: ControlWorld, want?: object) =>
  world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main', ...(want ? { want } : {}) } })

test('C2 shows a session record: phone, status, last activity, authenticated at, attempts, last error, metadata', async () => {
  await using world = await controlWorld()
  await create(world, { metadata: { team: 'support' } })
  const at = world.clock.nowMs()
  await world.report('main', {
    phase: 'connected',
    phone: '4915123456789',
    jid: '4915123456789@s.whatsapp.net',
    deviceId: 3,
    connectedAt: at,
    authenticatedAt: at,
    lastActivityAt: at,
    lastDisconnect: { code: 428, why: 'connection_lost', at },
    attempts: 2,
  })
  const { body } = await world.ask('GET', '/v1/sessions/main?tenant=acme')
  const time = new Date(at).toISOString()
  expect(body).toMatchObject({
    id: 'main',
    tenant: 'acme',
    want: { state: 'running', generation: 1, metadata: { team: 'support' } },
    status: {
      phase: 'connected',
      reason: null,
      observedGeneration: 1,
      phone: '4915123456789',
      jid: '4915123456789@s.whatsapp.net',
      owner: { runnerId: 'runner-1', epoch: 1, alive: true },
      connectedAt: time,
      authenticatedAt: time,
      lastActivityAt: time,
      lastDisconnect: { code: 428, why: 'connection_lost', at: time },
      attempts: 2,
      nextAttemptAt: null,
    },
    createdAt: expect.stringMatching(/Z$/),
    updatedAt: expect.stringMatching(/Z$/),
  })
})

test('D3 lists sessions as JSON, by session, in pages', async () => {
  await using world = await controlWorld()
  for (const id of ['c', 'a', 'b']) {
    await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id } })
  }
  const first = (await world.ask('GET', '/v1/sessions?tenant=acme&limit=2')).body
  expect(first.items.map(({ id }: { id: string }) => id)).toEqual(['a', 'b'])
  const second = (
    await world.ask('GET', `/v1/sessions?tenant=acme&limit=2&after=${encodeURIComponent(first.next)}`)
  ).body
  expect(second.items.map(({ id }: { id: string }) => id)).toEqual(['c'])
  expect(second).not.toHaveProperty('next')
  expect((await world.ask('GET', '/v1/sessions?tenant=rival')).body).toEqual({ items: [] })
})

test('creates a session that is wanted running, and works with no runner alive', async () => {
  await using world = await controlWorld()
  const created = await create(world)
  expect(created.status).toBe(201)
  expect(created.headers.get('location')).toBe('/v1/sessions/main')
  expect(created.headers.get('etag')).toBe('"1"')
  expect(created.body).toMatchObject({
    want: { state: 'running', generation: 1 },
    status: { phase: 'pending', reason: expect.stringContaining('No runner is alive'), owner: null },
  })
  const stopped = await world.ask('POST', '/v1/sessions?tenant=acme', {
    body: { id: 'other', want: { state: 'stopped' } },
  })
  expect(stopped.body.status.phase).toBe('stopped')
})

test('refuses a name that is taken, unless an Idempotency-Key says that it is the same attempt', async () => {
  await using world = await controlWorld()
  const headers = { 'idempotency-key': 'k' }
  expect((await create(world)).status).toBe(201)
  expect((await create(world)).body.code).toBe('exists')
  const repeat = (body: object) => world.ask('POST', '/v1/sessions?tenant=acme', { body, headers })
  expect((await repeat({ id: 'main' })).status).toBe(201)
  expect((await repeat({ id: 'main', want: { state: 'stopped' } })).body.code).toBe('exists')
})

test('names the field that failed', async () => {
  await using world = await controlWorld()
  const rows: [unknown, string][] = [
    [{ id: 'main', want: { state: 'resting' } }, 'want.state'],
    [{ id: 'a~b' }, 'id'],
    [{}, 'id'],
    [{ id: 'main', whant: {} }, 'whant'],
    [{ id: 'main', want: { webhook: { url: 'https://x.example' } } }, 'want.webhook'],
    [{ id: 'main', want: { proxy: { url: 'ftp://x' } } }, 'want.proxy.url'],
    [{ id: 'main', want: { reconnect: { maxAttempts: 0 } } }, 'want.reconnect.maxAttempts'],
    [{ id: 'main', want: { metadata: { a: 1 } } }, 'want.metadata.a'],
  ]
  for (const [body, field] of rows) {
    expect((await world.ask('POST', '/v1/sessions?tenant=acme', { body })).body).toMatchObject({
      status: 422,
      code: 'invalid_field',
      field,
    })
  }
  expect((await world.ask('GET', '/v1/sessions?tenant=acme&limit=0')).body).toMatchObject({ field: 'limit' })
})

test('says 422 of metadata that no store can keep, at a creation and at a change', async () => {
  await using world = await controlWorld()
  const never = { status: 422, code: 'store_refused' }
  const create = { id: 'main', want: { metadata: { note: 'half \ud83d' } } }
  expect((await world.ask('POST', '/v1/sessions?tenant=acme', { body: create })).body).toMatchObject({
    ...never,
    field: 'want.metadata.note',
  })
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
  const change = { want: { metadata: { __reserved__: 'x' } } }
  expect((await world.ask('PATCH', '/v1/sessions/main?tenant=acme', { body: change })).body).toMatchObject({
    ...never,
    field: 'want.metadata',
  })
})

test('refuses a body that is no JSON, or does not say that it is, with 400', async () => {
  await using world = await controlWorld()
  const post = (body: string, type: string) =>
    world.ask('POST', '/v1/sessions?tenant=acme', { body, headers: { 'content-type': type } })
  expect((await post('{"id":', 'application/json')).body).toMatchObject({ status: 400, code: 'invalid_body' })
  expect((await post('id=main', 'application/x-www-form-urlencoded')).body.code).toBe('invalid_body')
})

test('refuses a body that is too large with 413', async () => {
  await using world = await controlWorld()
  const body = { id: 'main', want: { metadata: { a: 'x'.repeat(1024 * 1024) } } }
  expect((await world.ask('POST', '/v1/sessions?tenant=acme', { body })).body).toMatchObject({
    status: 413,
    code: 'too_large',
  })
})

test('refuses one session more than the tenant may have', async () => {
  await using world = await controlWorld()
  await world.ask('POST', '/v1/tenants', { body: { id: 'small', limits: { sessions: 1 } } })
  const add = (id: string) => world.ask('POST', '/v1/sessions?tenant=small', { body: { id } })
  expect((await add('one')).status).toBe(201)
  expect((await add('two')).body).toMatchObject({ status: 409, code: 'limit_reached' })
})

test('PUT declares the want whole: creates, resets what is left out, and changes nothing when repeated', async () => {
  await using world = await controlWorld()
  const put = (want: object) => world.ask('PUT', at, { body: { want } })
  const created = await put({ state: 'running', metadata: { a: '1' }, reconnect: { maxAttempts: 5 } })
  expect(created.status).toBe(201)
  const again = await put({ state: 'running', metadata: { a: '1' }, reconnect: { maxAttempts: 5 } })
  expect(again.status).toBe(200)
  expect(again.body.want.generation).toBe(1)
  const changed = await put({ state: 'running' })
  expect(changed.body.want).toEqual({ state: 'running', generation: 2, metadata: {} })
})

test('PUT takes back what GET gave', async () => {
  await using world = await controlWorld()
  await create(world, {
    proxy: { url: 'http://me:secret@proxy.example:8080' },
    reconnect: { maxAttempts: 5 },
  })
  await world.ask('POST', '/v1/sessions/main/pairing?tenant=acme', { body: { method: 'qr' } })
  const { body } = await world.ask('GET', at)
  const put = await world.ask('PUT', at, { body })
  expect(put.status).toBe(200)
  expect(put.body.want).toEqual(body.want)
})

test('PATCH changes what it names, and null removes', async () => {
  await using world = await controlWorld()
  await create(world, { metadata: { a: '1', b: '2' }, reconnect: { maxAttempts: 5 } })
  const patch = (want: object) => world.ask('PATCH', at, { body: { want } })
  expect((await patch({ metadata: { a: null, c: '3' } })).body.want).toMatchObject({
    metadata: { b: '2', c: '3' },
    reconnect: { maxAttempts: 5 },
  })
  const removed = (await patch({ reconnect: null })).body.want
  expect(removed).not.toHaveProperty('reconnect')
  expect(removed.generation).toBe(3)
  expect((await patch({})).body.want.generation).toBe(3)
})

test('refuses a change that was meant for another generation with 412', async () => {
  await using world = await controlWorld()
  await create(world)
  const patch = (etag: string) =>
    world.ask('PATCH', at, { body: { want: { state: 'stopped' } }, headers: { 'if-match': etag } })
  expect((await patch('"9"')).body).toMatchObject({ status: 412, code: 'stale' })
  expect((await patch('"elsewhere"')).status).toBe(412)
  const done = await patch('"1"')
  expect(done.status).toBe(200)
  expect(done.headers.get('etag')).toBe('"2"')
  const put = { body: { want: { state: 'running' } }, headers: { 'if-match': '"1"' } }
  expect((await world.ask('PUT', '/v1/sessions/absent?tenant=acme', put)).status).toBe(412)
})

test('deletes a session at once that no runner ever had', async () => {
  await using world = await controlWorld()
  await create(world)
  await world.ask('POST', '/v1/sessions/main/messages?tenant=acme', {
    body: { to: '491512345678', text: 'hi' },
  })
  expect((await world.ask('DELETE', at)).status).toBe(204)
  expect((await world.ask('GET', at)).status).toBe(404)
  expect((await world.stores.outbox.list(world.key('main'), { limit: 9 })).items).toEqual([])
})

test('A5 leaves sessions alone when the key of whoever made them is revoked', async () => {
  await using world = await controlWorld()
  const key = await world.keyOf('acme', 'control', 'read')
  await world.ask('POST', '/v1/sessions', { key, body: { id: 'main' } })
  await world.report('main', { phase: 'connected', authenticatedAt: 1 })
  const [record] = await world.stores.apiKeys.list()
  await world.ask('DELETE', `/v1/keys/${record?.id}`)
  expect((await world.ask('GET', at)).body).toMatchObject({
    want: { state: 'running', generation: 1 },
    status: { phase: 'connected' },
  })
})
