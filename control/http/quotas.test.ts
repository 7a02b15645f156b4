import { describe, expect, test, vi } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import { QUOTAS } from '#shared/quotas.ts'
import { ADMIN_KEY, controlWorld, type ControlWorld } from '../control.fixture.ts'

const MIB = 1024 * 1024

const limitOf = (world: ControlWorld, limits: object) =>
  world.ask('PATCH', '/v1/tenants/acme', { body: { limits } })
const send = (
  world: ControlWorld,
  text: string,
  more: { key?: string; headers?: Record<string, string> } = {},
) =>
  world.ask('POST', `/v1/sessions/main/messages${more.key === undefined ? '?tenant=acme' : ''}`, {
    body: { to: '+4915123456789', text },
    ...more,
  })
const withMain = async (more: Parameters<typeof controlWorld>[0] = {}): Promise<ControlWorld> => {
  const world = await controlWorld(more)
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
  return world
}

describe('sessions', () => {
  test('F6: fifteen creations at once make five of five allowed, and say how many there are', async () => {
    await using world = await controlWorld()
    await limitOf(world, { sessions: 5 })
    const answers = await Promise.all(
      Array.from({ length: 15 }, (_, index) =>
        world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: `s${index}` } }),
      ),
    )
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(5)
    expect(answers.find(({ status }) => status !== 201)?.body).toMatchObject({
      status: 409,
      code: 'limit_reached',
      limit: { quota: 'sessions', used: 5, allowed: 5 },
    })
    expect((await world.ask('GET', '/v1/sessions?tenant=acme')).body.items).toHaveLength(5)
  })
})

describe('requests', () => {
  test('F6: the keys of a tenant share its limit, and another tenant has its own', async () => {
    await using world = await controlWorld({ quotaOverrides: { requestsPerSecond: 4 } })
    const keys = [await world.keyOf('acme', 'read'), await world.keyOf('acme', 'read')]
    const other = await world.keyOf('rival', 'read')
    const answers = []
    for (let n = 0; n < 9; n++)
      answers.push(await world.ask('GET', '/v1/sessions', { key: keys[n % 2] ?? '' }))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(8)
    expect(answers.at(-1)?.body).toMatchObject({
      status: 429,
      code: 'rate_limited',
      limit: { quota: 'requestsPerSecond', allowed: 4 },
    })
    expect((await world.ask('GET', '/v1/sessions', { key: other })).status).toBe(200)
  })

  test('F6: a process has its share of what is per process', async () => {
    await using world = await controlWorld({ quotaOverrides: { requestsPerSecondOfKey: 8 }, instances: 4 })
    const key = await world.keyOf('acme', 'read')
    const statuses = []
    for (let n = 0; n < 5; n++) statuses.push((await world.ask('GET', '/v1/sessions', { key })).status)
    expect(statuses).toEqual([200, 200, 200, 200, 429])
  })

  test('F6: what a hasty key is refused costs the store nothing', async () => {
    await using world = await controlWorld({ quotaOverrides: { requestsPerSecondOfKey: 4 } })
    const key = await world.keyOf('acme', 'read')
    const find = vi.spyOn(world.stores.apiKeys, 'find')
    for (let n = 0; n < 20; n++) await world.ask('GET', '/v1/sessions', { key })
    expect(find).toHaveBeenCalledTimes(8)
  })
})

describe('wrong keys', () => {
  const from = (address: string) => ({ headers: { 'x-forwarded-for': `8.8.8.8, ${address}` } })
  const limits = { trustedProxies: 1, quotaOverrides: { wrongKeysPerSecond: 3 } }

  test('F6: cost an address its tokens, and the store no more than those', async () => {
    await using world = await controlWorld(limits)
    const good = await world.keyOf('acme', 'read')
    const find = vi.spyOn(world.stores.apiKeys, 'find')
    const answers = []
    for (let n = 0; n < 50; n++)
      answers.push(await world.ask('GET', '/v1/sessions', { key: `moor_guess${n}`, ...from('203.0.113.7') }))
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(6)
    expect(answers.at(-1)?.body).toMatchObject({
      status: 429,
      limit: { quota: 'wrongKeysPerSecond', allowed: 3 },
    })
    expect(find).toHaveBeenCalledTimes(6)
    // A key that is new here waits with its address, another address does not.
    expect((await world.ask('GET', '/v1/sessions', { key: good, ...from('203.0.113.7') })).status).toBe(429)
    expect((await world.ask('GET', '/v1/sessions', { key: good, ...from('203.0.113.8') })).status).toBe(200)
    // And once it was good, it is no stranger any more.
    expect((await world.ask('GET', '/v1/sessions', { key: good, ...from('203.0.113.7') })).status).toBe(200)
    await world.clock.advance(1_000)
    expect((await world.ask('GET', '/v1/sessions', { key: 'moor_x', ...from('203.0.113.7') })).status).toBe(
      401,
    )
  })

  test('F6: count by network where addresses are cheap, and by nothing that a client writes itself', async () => {
    await using world = await controlWorld(limits)
    const asks = async (address: string) =>
      (await world.ask('GET', '/v1/sessions', { key: 'moor_x', ...from(address) })).status
    const statuses = []
    for (let n = 1; n <= 7; n++) statuses.push(await asks(`2001:db8:0:1::${n}`))
    expect(statuses.at(-1)).toBe(429)
    expect(await asks('2001:db8:0:2::1')).toBe(401)
    await using unproxied = await controlWorld({ ...limits, trustedProxies: 0 })
    const written = []
    for (let n = 1; n <= 7; n++)
      written.push(
        (await unproxied.ask('GET', '/v1/keys', { key: 'moor_x', ...from(`203.0.113.${n}`) })).status,
      )
    expect(written.at(-1)).toBe(429)
  })

  test('good keys take no tokens of their address, however many and at once', async () => {
    await using world = await controlWorld(limits)
    const keys: string[] = []
    for (let n = 0; n < 10; n++) keys.push(await world.keyOf('acme', 'read'))
    const asks = (key: string) => world.ask('GET', '/v1/sessions', { key, ...from('203.0.113.7') })
    for (const key of keys) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => asks(key)))
      expect(answers.every(({ status }) => status === 200)).toBe(true)
    }
  })
})

describe('streams', () => {
  const open = async (world: ControlWorld, key: string): Promise<Response> =>
    world.app.request('/v1/events', { headers: { 'x-api-key': key } })
  const closeAll = (responses: readonly Response[]) =>
    Promise.all(responses.map(async ({ body }) => body?.cancel()))

  test('F6: a key, a tenant and a process have limits, and one that ends gives its place back', async () => {
    const quotaOverrides = { streams: 3, streamsOfKey: 2 }
    await using world = await controlWorld({ quotaOverrides, streamsMax: 4 })
    const [one, two] = [await world.keyOf('acme', 'read'), await world.keyOf('acme', 'read')]
    const [rival, last] = [await world.keyOf('rival', 'read'), await world.keyOf('rival', 'read')]
    const opened = [await open(world, one), await open(world, one)]
    expect(await (await open(world, one)).json()).toMatchObject({
      status: 429,
      code: 'limited_now',
      limit: { quota: 'streamsOfKey', used: 2, allowed: 2 },
    })
    opened.push(await open(world, two))
    expect(await (await open(world, two)).json()).toMatchObject({
      status: 429,
      limit: { quota: 'streams', used: 3, allowed: 3 },
    })
    opened.push(await open(world, rival))
    const full = await open(world, last)
    expect([full.status, full.headers.get('retry-after')]).toEqual([503, '5'])
    expect(opened.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    await closeAll(opened)
    await vi.waitFor(async () => {
      const again = await open(world, one)
      await again.body?.cancel()
      expect(again.status).toBe(200)
    })
  })

  test('F6: 1,500 streams on one read key are twenty', async () => {
    await using world = await controlWorld({
      quotaOverrides: { requestsPerSecondOfKey: 2_000, requestsPerSecond: 2_000 },
    })
    const key = await world.keyOf('acme', 'read')
    const responses = await Promise.all(Array.from({ length: 1_500 }, async () => open(world, key)))
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(QUOTAS.streamsOfKey.byDefault)
    await closeAll(responses)
  })
})

describe('uploads', () => {
  test('F6: come in one tenant’s turn after the other, so many of each', async () => {
    await using world = await controlWorld({ quotaOverrides: { uploads: 2 } })
    const begun: string[] = []
    const gates = new Map<string, () => void>()
    // Whoever is let through asks for the session first; it is held there until the test says so.
    const find = world.stores.sessions.find.bind(world.stores.sessions)
    world.stores.sessions.find = async (name) => {
      begun.push(name)
      await new Promise<void>((resolve) => gates.set(name, resolve))
      return find(name)
    }
    const upload = (tenant: string, id: string) =>
      world.ask('POST', `/v1/sessions/${id}/import?tenant=${tenant}`, { body: { files: {} } })
    const held = [upload('acme', 'a1'), upload('acme', 'a2')]
    await vi.waitFor(() => expect(begun).toHaveLength(2))
    expect((await upload('acme', 'a3')).body).toMatchObject({
      status: 429,
      code: 'limited_now',
      limit: { quota: 'uploads', used: 2, allowed: 2 },
    })
    held.push(upload('rival', 'b1'))
    const { body } = await world.ask('GET', '/v1/tenants/rival')
    expect(body.quotas.uploads).toEqual({ used: 1, allowed: 2, kind: 'per_process' })
    expect(begun).toEqual(['acme~a1', 'acme~a2'])
    gates.get('acme~a1')?.()
    await vi.waitFor(() => expect(begun.at(-1)).toBe('rival~b1'))
    for (const open of gates.values()) open()
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([404, 404, 404])
  })
})

describe('queued messages', () => {
  test('F6: twenty keys of a tenant queue as much as it may, and another tenant as much as before', async () => {
    await using world = await withMain()
    await limitOf(world, { queuedBytes: MIB, requestsPerSecond: 10_000 })
    const keys: string[] = []
    for (let n = 0; n < 20; n++) keys.push(await world.keyOf('acme', 'send'))
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        send(world, 'x'.repeat(65_000), { key: keys[index % 20] ?? '' }),
      ),
    )
    const taken = answers.filter(({ status }) => status === 202)
    expect(taken).toHaveLength(Math.floor(MIB / 65_200))
    const refused = answers.find(({ status }) => status !== 202)
    expect(refused?.body).toMatchObject({
      status: 429,
      code: 'limited_now',
      limit: { quota: 'queuedBytes', allowed: MIB },
    })
    expect(refused?.headers.get('retry-after')).toBe('5')
    await world.ask('POST', '/v1/sessions?tenant=rival', { body: { id: 'main' } })
    expect(
      (
        await world.ask('POST', '/v1/sessions/main/messages?tenant=rival', {
          body: { to: '+4915123456789', text: 'hi' },
        })
      ).status,
    ).toBe(202)
  })

  test('F6: are counted again after two seconds, so that what was sent makes room', async () => {
    await using world = await withMain()
    await limitOf(world, { queuedMessages: 2 })
    const [first] = [await send(world, 'one'), await send(world, 'two')]
    expect((await send(world, 'three')).body.limit).toEqual({ quota: 'queuedMessages', used: 2, allowed: 2 })
    const key = world.key('main')
    await world.stores.outbox.move(key, first.body.id, { to: 'withdrawn', nowMs: 1 })
    expect((await send(world, 'three')).status).toBe(429)
    await world.clock.advance(2_000)
    expect((await send(world, 'three')).status).toBe(202)
  })

  test('a repeat under its Idempotency-Key is answered also where there is no room', async () => {
    await using world = await withMain()
    await limitOf(world, { queuedMessages: 1 })
    const headers = { 'idempotency-key': 'once' }
    const first = await send(world, 'one', { headers })
    expect((await send(world, 'one', { headers })).body).toEqual(first.body)
    expect((await send(world, 'two', { headers: { 'idempotency-key': 'twice' } })).status).toBe(429)
  })
})

describe('bytes of a want', () => {
  const patch = (world: ControlWorld, metadata: Record<string, string | null>) =>
    world.ask('PATCH', '/v1/sessions/main?tenant=acme', { body: { want: { metadata } } })
  const entries = (from: number, count: number, value: string) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${from + index}`, value]))

  test('F6: many patches don’t add up to more entries than one may have', async () => {
    await using world = await withMain()
    expect((await patch(world, entries(0, 50, 'x'))).status).toBe(200)
    expect((await patch(world, entries(50, 1, 'x'))).body).toMatchObject({
      status: 422,
      field: 'want.metadata',
    })
    expect((await patch(world, { k0: null, more: 'x' })).status).toBe(200)
  })

  test('F6: are those of what comes out, however it is asked for', async () => {
    await using world = await withMain()
    const wide = '€'.repeat(1_024)
    expect((await patch(world, entries(0, 20, wide))).status).toBe(200)
    const refused = (await patch(world, entries(20, 10, wide))).body
    expect(refused).toMatchObject({
      status: 409,
      code: 'limit_reached',
      field: 'want',
      limit: { quota: 'wantBytes', allowed: 65_536 },
    })
    expect(refused.limit.used).toBeGreaterThan(65_536)
    const metadata = entries(0, 30, wide)
    const put = { body: { want: { state: 'running', metadata } } }
    expect((await world.ask('PUT', '/v1/sessions/main?tenant=acme', put)).status).toBe(409)
    const made = { body: { id: 'new', want: { metadata } } }
    expect((await world.ask('POST', '/v1/sessions?tenant=acme', made)).status).toBe(409)
    expect((await world.ask('POST', '/v1/sessions/main/stop?tenant=acme')).status).toBe(202)
  })
})

describe('what a tenant has', () => {
  test('F6: is shown with what it may have, and how that is counted', async () => {
    await using world = await withMain()
    await limitOf(world, { sessions: 7, queuedBytes: MIB })
    await world.keyOf('acme', 'read')
    await send(world, 'hello')
    const own = await world.keyOf('acme', 'read')
    const { quotas, limits } = (await world.ask('GET', '/v1/tenants/acme', { key: own })).body
    expect(quotas).toMatchObject({
      sessions: { used: 1, allowed: 7, kind: 'exact' },
      keys: { used: 2, allowed: QUOTAS.keys.byDefault, kind: 'exact' },
      imports: { used: 0, allowed: QUOTAS.imports.byDefault, kind: 'exact' },
      requestsPerSecond: { used: null, allowed: 1000, kind: 'per_process' },
      streams: { used: 0, allowed: QUOTAS.streams.byDefault, kind: 'per_process' },
      queuedMessages: { used: 1, kind: 'approximate' },
      queuedBytes: { used: expect.any(Number), allowed: MIB },
    })
    expect(limits).toMatchObject({ sessions: 7, queuedBytes: MIB, keys: QUOTAS.keys.byDefault })
  })

  test('F6: limits are changed one by one, go back to the table, and are the operator’s', async () => {
    await using world = await controlWorld()
    expect((await limitOf(world, { sessions: 7 })).body.limits).toMatchObject({ sessions: 7 })
    expect((await limitOf(world, { keys: 3 })).body.limits).toMatchObject({ sessions: 7, keys: 3 })
    expect((await limitOf(world, { sessions: null })).body.limits).toMatchObject({
      sessions: QUOTAS.sessions.byDefault,
      keys: 3,
    })
    expect((await limitOf(world, { wantBytes: 3 })).status).toBe(422)
    const key = await world.keyOf('acme', 'admin')
    const asked = await world.ask('PATCH', '/v1/tenants/acme', { key, body: { limits: { sessions: 9 } } })
    expect(asked.status).toBe(403)
    expect((await world.ask('PATCH', '/v1/tenants/none', { body: { name: 'x' } })).status).toBe(404)
  })

  test('F6: refusals are counted by quota, and what is open is measured', async () => {
    await using world = await controlWorld({ quotaOverrides: { streamsOfKey: 1 } })
    const ask = () => world.app.request('/v1/events', { headers: { 'x-api-key': ADMIN_KEY } })
    const stream = await ask()
    await ask()
    const { body } = await world.ask('GET', '/metrics')
    expect(body).toContain('mooring_quota_refusals_total{quota="streamsOfKey"} 1')
    expect(body).toContain('mooring_streams_open 1')
    await stream.body?.cancel()
  })

  test('F6: a report of a tenant reads nobody else’s owners', async () => {
    await using world = await withMain()
    world.stores.owners.scan = () => {
      throw new CodedError('store_unavailable', 'everybody’s owners were read')
    }
    await world.report('main', { phase: 'connected' })
    expect((await world.ask('GET', '/v1/report?tenant=acme')).body).toMatchObject({ total: 1, connected: 1 })
    expect((await world.ask('GET', '/v1/sessions?tenant=acme')).body.items).toHaveLength(1)
    expect((await world.ask('GET', '/v1/report')).status).toBe(503)
  })

  test('F6: of keys that were revoked a hundred are kept', async () => {
    await using world = await controlWorld()
    for (let n = 0; n < 105; n++) {
      const { body } = await world.ask('POST', '/v1/keys', {
        body: { name: `k${n}`, scopes: ['read'], tenant: 'acme' },
      })
      await world.clock.advance(1)
      await world.ask('DELETE', `/v1/keys/${body.id}`)
    }
    await world.keyOf('acme', 'read')
    const keys = await world.stores.apiKeys.list()
    expect(keys).toHaveLength(101)
    expect(keys[0]?.name).toBe('k5')
  })
})
