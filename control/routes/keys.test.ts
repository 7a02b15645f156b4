import { describe, expect, test } from 'vitest'
import { parseTenantId } from '#shared/ids.ts'
import { controlWorld, type ControlWorld } from '../control.fixture.ts'
import { sha256Hex } from '../http/key-text.ts'

const MINUTE_MS = 60_000

const make = (world: ControlWorld, body: object, key?: string, headers = {}) =>
  world.ask('POST', '/v1/keys', {
    body: { name: 'k', scopes: ['read'], ...body },
    headers,
    ...(key === undefined ? {} : { key }),
  })

const inMs = (world: ControlWorld, ms: number): string => new Date(world.clock.nowMs() + ms).toISOString()

describe('one id, one key', () => {
  test('F6: one Idempotency-Key for two tenants makes two ids, and each is revoked by its own', async () => {
    await using world = await controlWorld()
    const headers = { 'idempotency-key': 'deploy' }
    const [ours, theirs] = await Promise.all(
      ['acme', 'rival'].map((tenant) => make(world, { tenant, scopes: ['admin'] }, undefined, headers)),
    )
    expect(ours?.body.id).not.toBe(theirs?.body.id)
    expect((await world.ask('DELETE', `/v1/keys/${ours?.body.id}`)).status).toBe(204)
    expect((await world.ask('GET', '/v1/keys', { key: ours?.body.key })).status).toBe(401)
    expect((await world.ask('GET', '/v1/keys', { key: theirs?.body.key })).status).toBe(200)
  })

  test('one Idempotency-Key of two callers makes two keys', async () => {
    await using world = await controlWorld()
    const headers = { 'idempotency-key': 'deploy' }
    const admin = await world.keyOf('acme', 'admin')
    const first = await make(world, { tenant: 'acme' }, undefined, headers)
    const second = await make(world, { tenant: 'acme' }, admin, headers)
    expect([first.status, second.status]).toEqual([201, 201])
    expect(first.body.id).not.toBe(second.body.id)
  })

  test('F6: however many attempts of one Idempotency-Key come at once, one key is made', async () => {
    await using world = await controlWorld()
    const headers = { 'idempotency-key': 'deploy' }
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => make(world, { tenant: 'acme' }, undefined, headers)),
    )
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409, 409, 409, 409])
    expect(await world.stores.apiKeys.list()).toHaveLength(1)
  })

  test('an id that an older version gave to keys of two tenants is revoked by tenant, and never by chance', async () => {
    await using world = await controlWorld()
    const { body } = await make(world, { tenant: 'acme' })
    const [record] = await world.stores.apiKeys.list()
    if (!record) throw new Error('it was made')
    const list = world.stores.apiKeys.list.bind(world.stores.apiKeys)
    const twin = { ...record, tenant: parseTenantId('rival'), sha256: 'f'.repeat(64) }
    world.stores.apiKeys.list = async (tenant) =>
      [...(await list(tenant)), twin].filter((key) => tenant === undefined || key.tenant === tenant)
    expect((await world.ask('DELETE', `/v1/keys/${body.id}`)).body).toMatchObject({
      status: 422,
      code: 'tenant_required',
      field: 'tenant',
    })
    expect((await world.ask('DELETE', `/v1/keys/${body.id}?tenant=acme`)).status).toBe(204)
    expect(await world.stores.apiKeys.find(record.sha256)).toHaveProperty('revokedAt')
  })
})

describe('keys with an end', () => {
  test('are refused from then on, in requests and in streams that are open', async () => {
    await using world = await controlWorld()
    const { body } = await make(world, { tenant: 'acme', expiresAt: inMs(world, MINUTE_MS) })
    expect(body.expiresAt).toBe(inMs(world, MINUTE_MS))
    const key = body.key as string
    expect((await world.ask('GET', '/v1/sessions', { key })).status).toBe(200)
    const stream = await world.app.request('/v1/events', { headers: { 'x-api-key': key } })
    await world.clock.advance(MINUTE_MS)
    expect((await world.ask('GET', '/v1/sessions', { key })).status).toBe(401)
    expect(await stream.text()).toContain('listening')
  })

  test('make no key that outlives them', async () => {
    await using world = await controlWorld()
    const maker = await make(world, {
      tenant: 'acme',
      scopes: ['admin'],
      expiresAt: inMs(world, MINUTE_MS),
    })
    const { key } = maker.body
    const later = await make(world, { expiresAt: inMs(world, 2 * MINUTE_MS) }, key)
    expect(later.body).toMatchObject({ code: 'invalid_field', field: 'expiresAt' })
    expect((await make(world, {}, key)).body.expiresAt).toBe(maker.body.expiresAt)
  })

  test.for(['2026-01-01T00:00:00Z', 'tomorrow', ''])('begin before it: %s is refused', async (expiresAt) => {
    await using world = await controlWorld()
    const { body } = await make(world, { tenant: 'acme', expiresAt })
    expect(body).toMatchObject({ status: 422, field: 'expiresAt' })
  })

  test('can not be made to last by whoever writes the record', async () => {
    await using world = await controlWorld()
    const bounds = { sessions: ['a'], expiresAt: inMs(world, MINUTE_MS) }
    const { body } = await make(world, { tenant: 'acme', ...bounds })
    const find = world.stores.apiKeys.find.bind(world.stores.apiKeys)
    for (const field of ['sessions', 'expiresAt'] as const) {
      world.stores.apiKeys.find = async (sha256) => {
        const found = await find(sha256)
        if (found) delete found[field]
        return found
      }
      expect((await world.ask('GET', '/v1/sessions', { key: body.key })).status).toBe(401)
    }
    world.stores.apiKeys.find = find
    expect((await world.ask('GET', '/v1/sessions', { key: body.key })).status).toBe(200)
  })
})

describe('keys for named sessions', () => {
  const NAMES = ['a', 'b', 'c', 'd']

  async function named(...sessions: string[]): Promise<[ControlWorld, key: string]> {
    const world = await controlWorld()
    for (const id of NAMES) await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id } })
    const made = await make(world, { tenant: 'acme', sessions, scopes: ['read', 'send', 'control', 'admin'] })
    expect(made.body.sessions).toEqual(sessions)
    return [world, made.body.key]
  }

  test('F6: see those alone in lists and reports, page after page', async () => {
    const [world, key] = await named('d', 'b', 'gone')
    await using _ = world
    const ids = async (query: string) => (await world.ask('GET', `/v1/sessions${query}`, { key })).body
    expect((await ids('')).items.map(({ id }: { id: string }) => id)).toEqual(['b', 'd'])
    const first = await ids('?limit=1')
    expect(first.items).toMatchObject([{ id: 'b' }])
    const second = await ids(`?limit=1&after=${encodeURIComponent(first.next)}`)
    expect(second.items).toMatchObject([{ id: 'd' }])
    expect((await world.ask('GET', '/v1/report', { key })).body).toMatchObject({ total: 2, wanted: 2 })
  })

  test('F6: hear of those alone, and not of the tenant’s own trail', async () => {
    const [world, key] = await named('b')
    await using _ = world
    const other = await world.ask('GET', '/v1/events?session=a', { key })
    expect(other.body).toMatchObject({ status: 404, code: 'not_found' })
    const headers = { 'x-api-key': key, 'last-event-id': '000000000000001-a' }
    const stream = await world.app.request('/v1/events', { headers })
    const reader = stream.body?.getReader()
    let text = ''
    while (!text.includes('\ndata: ')) text += new TextDecoder().decode((await reader?.read())?.value)
    await reader?.cancel()
    const told = [...text.matchAll(/"session":"(\w+)"/g)].map(([, session]) => session)
    expect(told).toEqual(['b'])
  })

  test('make no session, also none of their name, and no key', async () => {
    const [world, key] = await named('b', 'new')
    await using _ = world
    for (const [method, path, body] of [
      ['POST', '/v1/sessions', { id: 'new' }],
      ['PUT', '/v1/sessions/new', { want: { state: 'running' } }],
      ['POST', '/v1/keys', { name: 'more', scopes: ['read'] }],
    ] as const) {
      expect((await world.ask(method, path, { key, body })).body).toMatchObject({ code: 'forbidden' })
    }
    const put = await world.ask('PUT', '/v1/sessions/b', { key, body: { want: { state: 'stopped' } } })
    expect(put.status).toBe(200)
    expect((await world.ask('GET', '/v1/sessions/new?tenant=acme')).status).toBe(404)
  })

  test('are those of a tenant: the operator’s key is for no names', async () => {
    await using world = await controlWorld()
    const { body } = await make(world, { tenant: null, sessions: ['a'] })
    expect(body).toMatchObject({ status: 422, field: 'sessions' })
  })
})

describe('the scope credentials', () => {
  test('is what export, import, restore and purge take; control is not enough', async () => {
    await using world = await controlWorld()
    await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
    const bot = await world.keyOf('acme', 'read', 'send', 'control')
    const keeper = await world.keyOf('acme', 'credentials', 'control')
    const asks = [
      ['POST', '/v1/sessions/main/export'],
      ['GET', '/v1/sessions/main/export'],
      ['POST', '/v1/sessions/main/import'],
      ['POST', '/v1/sessions/main/restore'],
      ['DELETE', '/v1/sessions/main?purge=true'],
    ] as const
    for (const [method, path] of asks) {
      const refused = await world.ask(method, path, { key: bot })
      expect([path, refused.status, refused.body.detail]).toEqual([
        path,
        403,
        expect.stringContaining('"credentials"'),
      ])
      expect((await world.ask(method, path, { key: keeper })).status).not.toBe(403)
    }
    await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
    expect((await world.ask('DELETE', '/v1/sessions/main', { key: bot })).status).toBeLessThan(300)
  })
})

test('a key made before there were names and ends is good as it was', async () => {
  const keyPepper = 'the pepper that marked it, 32 characters'
  await using world = await controlWorld({ keyPepper })
  // Minted by the version before, under this pepper, for the tenant acme with read and control.
  const key = 'moor_abcdefghij_3DVmEx2yZgdUwfix2E3gLARi8IbUG0pNSmA4HFa7seY'
  await world.stores.apiKeys.create({
    id: 'abcdefghij',
    sha256: sha256Hex(key),
    prefix: 'moor_abcdefghij',
    name: 'old',
    scopes: ['read', 'control'],
    tenant: parseTenantId('acme'),
    createdAt: 1,
  })
  expect((await world.ask('GET', '/v1/sessions', { key })).status).toBe(200)
})
