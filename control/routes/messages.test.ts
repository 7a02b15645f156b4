import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { openRequest } from '#shared/sealing/outbox-bodies.ts'
import type { OutboxMessage } from '#shared/store/outbox-message.ts'
import type { OutboxMove } from '#shared/store/outbox-moves.ts'
import { testBodies } from '#test/bodies.ts'
import { controlWorld } from '../control.fixture.ts'
import type { ControlWorld } from '../control.fixture.ts'

const DAY_MS = 86_400_000
const at = '/v1/sessions/main/messages'
const secret = 'the body of this message is nobody’s business'

async function withSession(deps: Parameters<typeof controlWorld>[0] = {}): Promise<ControlWorld> {
  const world = await controlWorld(deps)
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
  return world
}

const send = (world: ControlWorld, body: object, headers: Record<string, string> = {}) =>
  world.ask('POST', `${at}?tenant=acme`, { body, headers })

test('queues a text for a runner and answers its id, with no runner alive', async () => {
  await using world = await withSession()
  const { status, body, headers } = await send(world, { to: '+49 151 23456789', text: secret })
  expect(status).toBe(202)
  expect(body).toMatchObject({ state: 'queued', to: '4915123456789@s.whatsapp.net' })
  expect(body.id).toMatch(/^3EB0[0-9A-F]{18}$/)
  expect((await world.ask('GET', `${headers.get('location')}?tenant=acme`)).body).toMatchObject({
    id: body.id,
  })
  const [stored] = await world.stores.outbox.pending(world.key('main'), { limit: 9 })
  expect(stored).toMatchObject({ id: body.id, state: 'queued', expiresAt: world.clock.nowMs() + DAY_MS })
  expect(stored).not.toHaveProperty('account')
  const request = await openRequest(testBodies(), world.key('main'), stored as OutboxMessage)
  expect(request).toEqual({ type: 'text', text: { body: secret } })
})

test('keeps no text in clear', async () => {
  await using world = await withSession()
  await send(world, { to: '4915123456789', text: secret })
  const [stored] = await world.stores.outbox.pending(world.key('main'), { limit: 9 })
  expect(Buffer.from(stored?.request ?? []).toString()).not.toContain('nobody')
  expect(JSON.stringify({ ...stored, request: undefined })).not.toContain('nobody')
})

test('case 5: binds a message to the account that the session is paired with', async () => {
  await using world = await withSession()
  await world.report('main', { phase: 'logged_out', jid: '4915111111111:3@s.whatsapp.net' })
  await send(world, { to: '4915123456789', text: 'hi' })
  const pending = await world.stores.outbox.pending(world.key('main'), { limit: 9 })
  expect(pending).toMatchObject([{ account: '4915111111111@s.whatsapp.net' }])
})

test('keeps a message until the time that it names, and no longer, also when no runner looks at it', async () => {
  await using world = await withSession()
  const expiresAt = new Date(world.clock.nowMs() + 3_600_000).toISOString()
  const { body } = await send(world, { to: '4915123456789', text: 'hi', expiresAt })
  expect(body).toMatchObject({ state: 'queued', expiresAt })
  await world.clock.advance(3_600_000)
  const { body: over } = await world.ask('GET', `${at}/${body.id}?tenant=acme`)
  expect(over).toMatchObject({ state: 'failed', error: { why: 'expired' } })
})

test.for([-1, 0, 30 * 86_400_000 + 1])('refuses an expiry in %d ms', async (inMs) => {
  await using world = await withSession()
  const expiresAt = new Date(world.clock.nowMs() + inMs).toISOString()
  const { body } = await send(world, { to: '4915123456789', text: 'hi', expiresAt })
  expect(body).toMatchObject({ status: 422, field: 'expiresAt' })
})

test('takes a queued message back, twice without harm, and none that a runner has', async () => {
  await using world = await withSession()
  const { body } = await send(world, { to: '4915123456789', text: 'hi' })
  const withdraw = (id: string) => world.ask('DELETE', `${at}/${id}?tenant=acme`)
  for (let time = 0; time < 2; time++)
    expect(await withdraw(body.id)).toMatchObject({ status: 200, body: { state: 'withdrawn', text: 'hi' } })
  const { body: taken } = await send(world, { to: '4915123456789', text: 'ho' })
  const move = { to: 'taken', epoch: 1, nowMs: 1 } as const
  await world.stores.outbox.move(world.key('main'), taken.id, move)
  expect(await withdraw(taken.id)).toMatchObject({ status: 409, body: { code: 'too_late' } })
  expect((await world.ask('GET', `${at}/${taken.id}?tenant=acme`)).body.state).toBe('sending')
  expect((await withdraw('3EB0')).status).toBe(404)
})

test.for([
  ['half of a surrogate pair', 'half a smile \ud83d', /surrogate/],
  ['the other half', 'x\udc00y', /surrogate/],
  ['spaces', '   ', /something to read/],
  ['marks that nobody sees', '\u200b\u2060', /something to read/],
  ['fillers and direction marks', '\u3164\ufe0f\u202a \u202c\n', /something to read/],
  ['more than WhatsApp takes', 'x'.repeat(65_537), /65536/],
  ['more than WhatsApp takes, of long characters', 'ä'.repeat(100_000), /65536/],
] as const)(
  'case 18: refuses a text of %s with 422 and the field, and queues nothing',
  async ([, text, why]) => {
    await using world = await withSession()
    const { body, headers } = await send(world, { to: '4915123456789', text })
    expect(body).toMatchObject({ status: 422, code: 'invalid_field', field: 'text' })
    expect(body.detail).toMatch(why)
    expect(body.detail).not.toContain('smile')
    expect(headers.get('retry-after')).toBeNull()
    expect((await world.stores.outbox.list(world.key('main'), { limit: 9 })).items).toEqual([])
  },
)

test.for(['.', '😀', '❤\ufe0f', ' \u200fש', '⠀'])('takes the text %j', async (text) => {
  await using world = await withSession()
  expect((await send(world, { to: '4915123456789', text })).status).toBe(202)
})

test('queues one message under one Idempotency-Key, and refuses another one under it', async () => {
  await using world = await withSession()
  const once = { 'idempotency-key': 'order-17' }
  const first = await send(world, { to: '4915123456789', text: 'hi' }, once)
  const second = await send(world, { to: '4915123456789', text: 'hi' }, once)
  expect(second.body).toEqual(first.body)
  expect((await send(world, { to: '4915123456789', text: 'ho' }, once)).body).toMatchObject({
    status: 409,
    code: 'conflict',
    field: 'Idempotency-Key',
  })
  expect((await world.stores.outbox.list(world.key('main'), { limit: 9 })).items.length).toBe(1)
})

test('F5: the id under an Idempotency-Key is the same on every control of one secret, and nobody else can tell it', async () => {
  const idUnder = async (keyPepper: string): Promise<string> => {
    await using world = await withSession({ keyPepper })
    const { body } = await send(world, { to: '4915123456789', text: 'hi' }, { 'idempotency-key': 'order-1' })
    return body.id
  }
  const [one, same, other] = [
    await idUnder('a pepper of thirty-two characters'),
    await idUnder('a pepper of thirty-two characters'),
    await idUnder('another of thirty-two characters!'),
  ]
  expect(one).toMatch(/^3EB0[0-9A-F]{18}$/)
  expect(same).toBe(one)
  expect(other).not.toBe(one)
  const unkeyed = createHash('sha256').update('acme|main|order-1').digest('hex')
  expect(one).not.toBe(`3EB0${unkeyed.toUpperCase().slice(0, 18)}`)
})

test('gives one Idempotency-Key another id in another session', async () => {
  await using world = await withSession()
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'other' } })
  const once = { headers: { 'idempotency-key': 'k' }, body: { to: '4915123456789', text: 'hi' } }
  const ids = await Promise.all(
    ['main', 'other'].map(
      async (id) => (await world.ask('POST', `/v1/sessions/${id}/messages?tenant=acme`, once)).body.id,
    ),
  )
  expect(new Set(ids).size).toBe(2)
})

test('shows how a message fares', async () => {
  await using world = await withSession()
  const { body } = await send(world, { to: '4915123456789', text: 'hi' })
  const get = async () => (await world.ask('GET', `${at}/${body.id}?tenant=acme`)).body
  const move = (id: string, more: Omit<OutboxMove, 'nowMs'>) =>
    world.stores.outbox.move(world.key('main'), id, { epoch: 1, nowMs: world.clock.nowMs(), ...more })
  for (const [more, state] of [
    [{ to: 'taken' }, 'sending'],
    [{ to: 'sent' }, 'sent'],
    [{ to: 'sent', reached: 'delivered' }, 'delivered'],
    [{ to: 'sent', reached: 'played' }, 'played'],
  ] as const) {
    await move(body.id, more)
    expect((await get()).state).toBe(state)
  }
  const { body: other } = await send(world, { to: '4915123456789', text: 'ho' })
  await move(other.id, { to: 'failed', error: { why: 'account_changed' } })
  expect((await world.ask('GET', `${at}/${other.id}?tenant=acme`)).body).toMatchObject({
    state: 'failed',
    error: { why: 'account_changed' },
  })
  expect((await world.ask('GET', `${at}/3EB0?tenant=acme`)).status).toBe(404)
})

test('lists what was sent, the newest first, in pages', async () => {
  await using world = await withSession()
  for (const text of ['one', 'two', 'three']) await send(world, { to: '4915123456789', text })
  const first = (await world.ask('GET', `${at}?tenant=acme&limit=2`)).body
  expect(first.items.map(({ text }: { text: string }) => text)).toEqual(['three', 'two'])
  const rest = (await world.ask('GET', `${at}?tenant=acme&limit=2&after=${first.next}`)).body
  expect(rest.items.map(({ text }: { text: string }) => text)).toEqual(['one'])
})

test('reads the feed from a cursor, each message once, and keeps the cursor when nothing is new', async () => {
  await using world = await withSession()
  const feed = async (after?: string) =>
    (await world.ask('GET', `${at}?tenant=acme&direction=in${after ? `&after=${after}` : ''}`)).body
  expect(await feed()).toEqual({ items: [] })
  const item = (id: string) => ({ id, from: '1@lid', chat: '1@lid', text: id, kind: 'text', at: 1_000 })
  await world.stores.feed.add(world.key('main'), [item('a'), item('b')], 1)
  const first = await feed()
  expect(first.items).toMatchObject([
    { id: 'a', from: '1@lid', text: 'a', at: '1970-01-01T00:00:01.000Z', cursor: expect.any(String) },
    { id: 'b' },
  ])
  expect(await feed(first.next)).toEqual({ items: [], next: first.next })
  await world.stores.feed.add(world.key('main'), [item('b'), item('c')], 2)
  expect((await feed(first.next)).items).toMatchObject([{ id: 'c' }])
  await world.stores.feed.add(world.key('main'), [{ ...item('d'), altered: ['cut'] }], 3)
  expect((await feed(first.next)).items).toMatchObject([{ id: 'c' }, { id: 'd', altered: ['cut'] }])
})

test('refuses a text that is empty, and a recipient that is none', async () => {
  await using world = await withSession()
  const to = '4915123456789'
  expect((await send(world, { to, text: '' })).body).toMatchObject({ status: 422, field: 'text' })
  expect((await send(world, { to, text: 'x'.repeat(65_536) })).status).toBe(202)
  expect((await send(world, { to: 'mum', text: 'hi' })).body).toMatchObject({ status: 422, field: 'to' })
  expect((await send(world, { text: 'hi' })).body).toMatchObject({ status: 422, field: 'to' })
})

test('writes neither the text nor the number of a message to the log', async () => {
  await using world = await withSession()
  await send(world, { to: '4915123456789', text: secret })
  await send(world, { to: '4915123456789x', text: secret })
  expect(world.logged()).toContain('request answered')
  expect(world.logged()).not.toContain(secret)
  expect(world.logged()).not.toContain('4915123456789')
})

test('F10: a number as people write it is the number, or is refused by its field', async () => {
  await using world = await withSession()
  for (const to of ['+49 (0)151 23456789', '\u202a+49 151 23456789\u202c', '+49 151\u201123456789'])
    expect((await send(world, { to, text: 'hi' })).body).toMatchObject({ to: '4915123456789@s.whatsapp.net' })
  const refused = (await send(world, { to: '0151 23456789', text: 'hi' })).body
  expect(refused).toMatchObject({ status: 422, code: 'invalid_field', field: 'to' })
  expect(refused.hint).toContain('+49')
})
