import { describe, expect, test } from 'vitest'
import { openProxy } from '#shared/sealing/proxy.ts'
import { edit } from '../session/session-access.ts'
import { controlWorld, type ControlWorld } from '../control.fixture.ts'

const at = '/v1/sessions/main?tenant=acme'
const SECRET = 's3cr3t-of-the-proxy'
const PROXY = `socks5://me:${SECRET}@proxy.example:1080`

const create = (world: ControlWorld, url: string, headers: Record<string, string> = {}) =>
  world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main', want: { proxy: { url } } }, headers })
const change = (world: ControlWorld, proxy: unknown) => world.ask('PATCH', at, { body: { want: { proxy } } })

/** What a runner makes of the want that is stored. */
async function opened(world: ControlWorld): Promise<string | undefined> {
  const key = world.key('main')
  const proxy = (await world.stores.sessions.get(key))?.want.proxy
  return proxy && openProxy(proxy, [world.inbound], key)
}

test('F19 F4: a proxy is stored for the runners alone, and never shown again', async () => {
  await using world = await controlWorld()
  const created = await create(world, PROXY)
  expect(created.status).toBe(201)
  expect(created.body.want.proxy).toEqual({ url: 'socks5://***@proxy.example:1080' })
  expect(await opened(world)).toBe(PROXY)
  const stored = JSON.stringify(await world.stores.sessions.get(world.key('main')))
  const said = JSON.stringify((await world.ask('GET', at)).body)
  const trail = JSON.stringify((await world.ask('GET', '/v1/sessions/main/events?tenant=acme')).body)
  for (const text of [stored, said, trail, world.logged()]) {
    for (const secret of [SECRET, Buffer.from(PROXY).toString('base64')]) expect(text).not.toContain(secret)
  }
})

test('F19: what was sealed for one session opens under no other', async () => {
  await using world = await controlWorld()
  await create(world, PROXY)
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'other' } })
  const proxy = (await world.stores.sessions.get(world.key('main')))?.want.proxy
  if (!proxy) throw new Error('it was stored')
  await expect(openProxy(proxy, [world.inbound], world.key('other'))).rejects.toMatchObject({
    code: 'bad_import',
  })
})

describe('F19: a proxy that comes back', () => {
  test('as it was shown keeps its credentials', async () => {
    await using world = await controlWorld()
    await create(world, PROXY)
    const before = await world.stores.sessions.get(world.key('main'))
    const again = await change(world, { url: 'socks5://***@proxy.example:1080' })
    expect(again.body.want).toMatchObject({ generation: 1 })
    expect((await world.stores.sessions.get(world.key('main')))?.want).toEqual(before?.want)
  })

  test('with its credentials changes nothing, also where it is created again', async () => {
    await using world = await controlWorld()
    const once = { 'idempotency-key': 'one' }
    await create(world, PROXY, once)
    expect((await create(world, PROXY, once)).status).toBe(201)
    expect((await change(world, { url: PROXY })).body.want.generation).toBe(1)
    expect((await create(world, PROXY.replace('1080', '1081'), once)).body).toMatchObject({ code: 'exists' })
  })

  test('without its credentials has none from then on', async () => {
    await using world = await controlWorld()
    await create(world, PROXY)
    expect((await change(world, { url: 'socks5://proxy.example:1080' })).body.want).toMatchObject({
      generation: 2,
      proxy: { url: 'socks5://proxy.example:1080' },
    })
    expect(await opened(world)).toBe('socks5://proxy.example:1080')
  })

  test('for another host never takes them along', async () => {
    await using world = await controlWorld()
    await create(world, PROXY)
    const answer = await change(world, { url: 'socks5://***@thief.example:1080' })
    expect(answer.body).toMatchObject({ status: 422, code: 'invalid_field', field: 'want.proxy.url' })
    expect(await opened(world)).toBe(PROXY)
  })

  test('as null is taken away', async () => {
    await using world = await controlWorld()
    await create(world, PROXY)
    expect((await change(world, null)).body.want).not.toHaveProperty('proxy')
    expect(await opened(world)).toBeUndefined()
  })
})

test('F19: an address that is no proxy, or leads where no tenant may, is refused by its field, and nothing is stored', async () => {
  await using world = await controlWorld()
  const rows: readonly [url: string, code: string][] = [
    ['http://127.0.0.1:8080', 'address_not_allowed'],
    ['socks5://0x7f000001:1080', 'address_not_allowed'],
    ['http://169.254.169.254', 'address_not_allowed'],
    ['https://private.example', 'address_not_allowed'],
    ['https://unknown.example', 'address_unknown'],
    ['socks4://proxy.example', 'invalid_field'],
    ['proxy.example:8080', 'invalid_field'],
    ['http://proxy.example/path', 'invalid_field'],
    ['http://proxy.example?x=1', 'invalid_field'],
    [`socks5://${'x'.repeat(256)}@proxy.example`, 'invalid_field'],
    ['http://a%zz:b@proxy.example', 'invalid_field'],
  ]
  for (const [url, code] of rows) {
    expect([url, (await create(world, url)).body]).toMatchObject([
      url,
      { status: 422, code, field: 'want.proxy.url' },
    ])
  }
  expect((await world.stores.sessions.list({ limit: 9 })).items).toEqual([])
})

test('a want of before is read on, and shows neither its webhook nor the credentials of its proxy', async () => {
  await using world = await controlWorld()
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
  const stored = { proxy: { url: PROXY }, webhook: { url: 'https://hook.example' } }
  await world.stores.sessions.changeWant(world.key('main'), (want) => edit({ ...want, ...stored }, {}), {
    nonce: 'before',
    nowMs: 1,
  })
  const { want } = (await world.ask('GET', at)).body
  expect(want).toEqual({
    state: 'running',
    generation: 2,
    metadata: {},
    proxy: { url: 'socks5://***@proxy.example:1080' },
  })
  expect((await world.ask('PUT', at, { body: { want } })).status).toBe(200)
  expect(await opened(world)).toBe(PROXY)
})
