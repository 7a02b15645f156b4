import { expect, test } from 'vitest'
import type { ApiKeyStore } from '#shared/store/api-key-store.ts'
import { mintKey } from './key-text.ts'
import { controlWorld } from '../control.fixture.ts'

test('E5 refuses a request without credentials with 401, and says how to send them', async () => {
  await using world = await controlWorld()
  const answer = await world.ask('GET', '/v1/sessions?tenant=acme', { key: '' })
  expect(answer.status).toBe(401)
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/)
  expect(answer.body).toMatchObject({
    code: 'unauthorized',
    status: 401,
    hint: expect.stringContaining('Bearer'),
  })
})

test('E5 refuses a key that is not known, and one that was revoked', async () => {
  await using world = await controlWorld()
  expect((await world.ask('GET', '/v1/sessions', { key: 'moor_nobody' })).status).toBe(401)
  const key = await world.keyOf('acme', 'read')
  expect((await world.ask('GET', '/v1/sessions', { key })).status).toBe(200)
  const { items } = (await world.ask('GET', '/v1/keys?tenant=acme')).body
  expect((await world.ask('DELETE', `/v1/keys/${items[0].id}`)).status).toBe(204)
  expect((await world.ask('GET', '/v1/sessions', { key })).status).toBe(401)
})

test('E5 knows no default tenant: the operator has to name one, and one that does not exist is 404', async () => {
  await using world = await controlWorld()
  expect((await world.ask('GET', '/v1/sessions')).body).toMatchObject({
    status: 422,
    code: 'tenant_required',
    field: 'tenant',
  })
  for (const path of ['/v1/sessions', '/v1/sessions/main', '/v1/report', '/v1/events', '/v1/keys']) {
    expect((await world.ask('GET', `${path}?tenant=nobody`)).body).toMatchObject({
      status: 404,
      code: 'not_found',
    })
  }
  const created = await world.ask('POST', '/v1/sessions?tenant=nobody', { body: { id: 'main' } })
  expect(created.status).toBe(404)
})

test('E5 hides the things of another tenant behind 404', async () => {
  await using world = await controlWorld()
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
  const own = await world.keyOf('acme', 'read')
  const other = await world.keyOf('rival', 'read', 'control', 'send', 'admin')
  expect((await world.ask('GET', '/v1/sessions/main', { key: own })).status).toBe(200)
  expect((await world.ask('GET', '/v1/sessions/main', { key: other })).status).toBe(404)
  expect((await world.ask('GET', '/v1/sessions/main?tenant=acme', { key: other })).status).toBe(404)
  expect((await world.ask('DELETE', '/v1/sessions/main', { key: other })).status).toBe(404)
  expect((await world.ask('GET', '/v1/tenants/acme', { key: other })).status).toBe(404)
  expect((await world.ask('GET', '/v1/keys?tenant=acme', { key: other })).status).toBe(404)
  expect((await world.ask('GET', '/v1/tenants', { key: other })).body.items).toMatchObject([{ id: 'rival' }])
})

test('takes a key as bearer token or in X-API-Key', async () => {
  await using world = await controlWorld()
  const key = await world.keyOf('acme', 'read')
  const answer = await world.ask('GET', '/v1/sessions', { key: '', headers: { 'x-api-key': key } })
  expect(answer.status).toBe(200)
})

test('refuses what is out of scope with 403 and names the scope', async () => {
  await using world = await controlWorld()
  const key = await world.keyOf('acme', 'read')
  const answer = await world.ask('POST', '/v1/sessions', { key, body: { id: 'main' } })
  expect(answer.body).toMatchObject({
    status: 403,
    code: 'forbidden',
    detail: expect.stringContaining('control'),
  })
  const sender = await world.keyOf('acme', 'send')
  expect((await world.ask('GET', '/v1/sessions', { key: sender })).status).toBe(403)
})

test('keeps what belongs to the operator from an admin of a tenant', async () => {
  await using world = await controlWorld()
  const key = await world.keyOf('acme', 'admin')
  expect((await world.ask('POST', '/v1/tenants', { key, body: { id: 'mine' } })).status).toBe(403)
  expect((await world.ask('GET', '/v1/runners', { key })).status).toBe(403)
  expect((await world.ask('GET', '/metrics', { key })).status).toBe(403)
  expect((await world.ask('POST', '/v1/maintenance/sweep', { key, body: {} })).status).toBe(403)
})

test('never turns a key of a tenant into a key of the operator', async () => {
  await using world = await controlWorld()
  const key = await world.keyOf('acme', 'admin')
  const body = { name: 'more', scopes: ['admin'] }
  const made = await world.ask('POST', '/v1/keys', { key, body })
  expect(made.body).toMatchObject({ tenant: 'acme' })
  const grasped = await world.ask('POST', '/v1/keys', { key, body: { ...body, tenant: null } })
  expect(grasped.body).toMatchObject({ tenant: 'acme' })
  expect((await world.ask('POST', '/v1/keys', { key, body: { ...body, tenant: 'rival' } })).status).toBe(404)
})

test('shows a new key once and stores only its hash', async () => {
  await using world = await controlWorld()
  const made = await world.ask('POST', '/v1/keys', {
    body: { name: 'ops', scopes: ['read'], tenant: 'acme' },
  })
  expect(made.status).toBe(201)
  expect(made.body.key).toMatch(/^moor_[a-z2-7]{10}_[A-Za-z0-9]{43}$/)
  const listed = await world.ask('GET', '/v1/keys')
  expect(JSON.stringify(listed.body)).not.toContain(made.body.key)
  expect(JSON.stringify(await world.stores.apiKeys.list())).not.toContain(made.body.key)
  expect(world.logged()).not.toContain(made.body.key)
})

test('makes no second key under one Idempotency-Key, and says which one there is', async () => {
  await using world = await controlWorld()
  const headers = { 'idempotency-key': 'deploy-1' }
  const body = { name: 'ops', scopes: ['read'], tenant: 'acme' }
  const first = await world.ask('POST', '/v1/keys', { body, headers })
  const second = await world.ask('POST', '/v1/keys', { body, headers })
  expect(second.body).toMatchObject({ code: 'exists', detail: expect.stringContaining(first.body.id) })
  expect((await world.stores.apiKeys.list()).length).toBe(1)
})

test('notes the use of a key at most once a minute, and answers although the note fails', async () => {
  await using world = await controlWorld()
  const key = await world.keyOf('acme', 'read')
  let notes = 0
  world.stores.apiKeys.touch = async () => {
    notes += 1
    throw new Error('the store is away')
  }
  for (const waitMs of [0, 30_000, 31_000, 0]) {
    await world.clock.advance(waitMs)
    expect((await world.ask('GET', '/v1/sessions', { key })).status).toBe(200)
  }
  expect(notes).toBe(2)
})

test('refuses a hasty key with 429 and Retry-After, and nobody else', async () => {
  await using world = await controlWorld({ quotaOverrides: { requestsPerSecondOfKey: 4 } })
  const [hasty, calm] = [await world.keyOf('acme', 'read'), await world.keyOf('acme', 'read')]
  const answers = []
  for (let n = 0; n < 9; n++) answers.push(await world.ask('GET', '/v1/sessions', { key: hasty }))
  expect(answers.map(({ status }) => status)).toEqual([...Array.from({ length: 8 }, () => 200), 429])
  expect(answers.at(-1)?.headers.get('retry-after')).toBe('1')
  expect((await world.ask('GET', '/v1/sessions', { key: calm })).status).toBe(200)
  await world.clock.advance(1000)
  expect((await world.ask('GET', '/v1/sessions', { key: hasty })).status).toBe(200)
})

test('accepts no key that a record was made or changed for without the pepper of control', async () => {
  const keyPepper = 'the pepper that only control has, 32+'
  await using world = await controlWorld({ keyPepper })
  const { stores } = world
  const key = await world.keyOf('acme', 'read')
  expect((await world.ask('GET', '/v1/sessions', { key })).status).toBe(200)

  // A runner can write every record. It makes one for a key of its own …
  const own = mintKey('a guess', 'abcdefghij', { scopes: ['admin'] })
  const record = { id: 'abcdefghij', name: 'mine', scopes: ['admin'] as const, createdAt: 1 }
  await stores.apiKeys.create({ ...record, prefix: own.prefix, sha256: own.sha256 })
  expect((await world.ask('GET', '/v1/tenants', { key: own.key })).status).toBe(401)

  // … and changes one, so that a good key would be more than it was made for.
  const find: ApiKeyStore['find'] = async (sha256) => {
    const { tenant: _left, ...found } = (await stores.apiKeys.find(sha256)) ?? { ...record, ...own }
    return { ...found, scopes: ['admin'] }
  }
  await using changed = await controlWorld({
    keyPepper,
    stores: { ...stores, apiKeys: { ...stores.apiKeys, find } },
  })
  expect((await changed.ask('GET', '/v1/tenants', { key })).status).toBe(401)
})
