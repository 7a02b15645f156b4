import { proto } from '@whiskeysockets/baileys'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { FaultInput } from './faults.ts'
import { pn, testWorld, until, type Auth, type Ending, type TestWorld } from './testing.ts'
import { revive } from './client.ts'

let world: TestWorld
let auth: Auth
let phone: string

beforeEach(async () => {
  world = await testWorld()
  const [session] = await world.admin.seed({ count: 1 })
  if (!session) throw new Error('nothing was seeded')
  auth = revive(session)
  phone = session.phone
})
afterEach(() => world.close())

const openClient = async () => {
  const client = world.connect(auth)
  await client.opened()
  return client
}

const endings: readonly [says: string, fault: FaultInput, ending: Partial<Ending>][] = [
  ['a TCP cut ends a client with 428', { kind: 'cut' }, { status: 428 }],
  ['an end of stream ends a client with 428', { kind: 'xmlstreamend' }, { status: 428 }],
  ['a stream error with a code ends a client with it', { kind: 'stream_error', code: 503 }, { status: 503 }],
  [
    'a conflict without a code ends a client with 440',
    { kind: 'stream_error', conflict: 'replaced' },
    { status: 440 },
  ],
  ['a stream error with a child names it', { kind: 'stream_error', child: 'ack' }, { status: 500 }],
]
test.for(endings)('%s', async ([, fault, ending]) => {
  const client = await openClient()
  expect(await world.admin.fault({ ...fault, phone } as FaultInput)).toMatchObject({ hit: 1 })
  expect(await client.ended()).toMatchObject(ending)
  await openClient()
})

test('a failure strikes at the next login, with its attributes, as often as it was told to', async () => {
  const attrs = { expire: '60', code: '101' }
  await world.admin.fault({ kind: 'failure', reason: 402, attrs, phone, times: 1 })
  expect(await world.connect(auth).ended()).toMatchObject({ status: 402, data: { reason: '402', ...attrs } })
  await openClient()
})

test('a blow can wait for the login or for the open connection', async () => {
  await world.admin.fault({ kind: 'stream_error', code: 500, when: 'login', phone, times: 1 })
  const early = world.connect(auth)
  expect(await early.ended()).toMatchObject({ status: 500 })
  await world.admin.fault({ kind: 'cut', when: 'open', phone, times: 1 })
  expect(await world.connect(auth).ended()).toMatchObject({ status: 428 })
})

test('a refused upgrade gives Baileys no event at all, and the next one is answered', async () => {
  await world.admin.fault({ kind: 'http', status: 429, headers: { 'retry-after': '5' }, times: 1 })
  const client = world.connect(auth)
  const status = await new Promise((resolve) => {
    client.sock.ws.on(
      'unexpected-response',
      (_request: unknown, answer: { statusCode: number; headers: object }) =>
        resolve([answer.statusCode, answer.headers]),
    )
  })
  expect(status).toEqual([429, expect.objectContaining({ 'retry-after': '5' })])
  expect(client.updates.some(({ connection }) => connection === 'close')).toBe(false)
  await openClient()
  expect((await world.admin.report()).totals.refusedUpgrades).toBe(1)
})

test('a silent server answers nothing until it is allowed to, and the connection lives on', async () => {
  const client = await openClient()
  await world.admin.fault({ kind: 'silence', phone })
  const ping = { tag: 'iq', attrs: { to: '@s.whatsapp.net', type: 'get', xmlns: 'w:p' } }
  expect(await client.sock.query({ ...ping, attrs: { ...ping.attrs } }, 200).catch(() => 'timed out')).toBe(
    'timed out',
  )
  await world.admin.clearFaults()
  expect(await client.sock.query(ping, 5000)).toMatchObject({ attrs: { type: 'result' } })
})

test('a frozen server reads nothing, not even a close, and catches up afterwards', async () => {
  const client = await openClient()
  await world.admin.phone('4915100000009')
  await world.admin.fault({ kind: 'freeze', phone })
  const sent = await client.sock.sendPresenceUpdate('unavailable').then(() =>
    client.sock.sendNode({
      tag: 'message',
      attrs: { id: 'HELD1', to: pn('4915100000009'), type: 'text' },
      content: [],
    }),
  )
  expect(sent).toBeUndefined()
  expect(await world.admin.accepted('HELD1')).toEqual([])
  await world.admin.clearFaults()
  await until(async () => (await world.admin.accepted('HELD1')).length === 1, 'the held message')
})

test('a delay holds back what it names and nothing else', async () => {
  const client = await openClient()
  await world.admin.fault({ kind: 'delay', ms: 300, match: { tag: 'iq' }, phone })
  const started = performance.now()
  await client.sock.query({ tag: 'iq', attrs: { to: '@s.whatsapp.net', type: 'get', xmlns: 'w:p' } })
  expect(performance.now() - started).toBeGreaterThan(290)
})

test('a swallowed acknowledgement leaves the message delivered and the sender in the dark', async () => {
  const client = await openClient()
  await world.admin.phone('4915100000009')
  await world.admin.fault({ kind: 'swallow', match: { tag: 'ack', class: 'message' }, phone, times: 1 })
  const acks: string[] = []
  client.sock.ws.on(
    'CB:ack,class:message',
    ({ attrs }: { attrs: { id: string } }) => void acks.push(attrs.id),
  )
  await client.sock.sendMessage(pn('4915100000009'), { text: 'one' }, { messageId: 'ONE' })
  await client.sock.sendMessage(pn('4915100000009'), { text: 'two' }, { messageId: 'TWO' })
  await until(() => acks.includes('TWO'), 'the second acknowledgement')
  expect(acks).toEqual(['TWO'])
  await until(async () => (await world.admin.messages('4915100000009')).length === 2, 'both')
})

test('a refused message is acknowledged with the error and reaches nobody', async () => {
  const client = await openClient()
  await world.admin.phone('4915100000009')
  await world.admin.fault({ kind: 'nack', error: 479, phone, times: 1 })
  await client.sock.sendMessage(pn('4915100000009'), { text: 'one' }, { messageId: 'ONE' })
  await until(() => client.status('ONE') === proto.WebMessageInfo.Status.ERROR, 'the error')
  await client.sock.sendMessage(pn('4915100000009'), { text: 'two' }, { messageId: 'TWO' })
  await until(async () => (await world.admin.messages('4915100000009')).length > 0, 'the second')
  expect((await world.admin.messages('4915100000009')).map(({ text }) => text)).toEqual(['two'])
})

test('a login limit refuses what is too much in a second', async () => {
  await world.admin.fault({ kind: 'login_rate', perSecond: 1, code: 503 })
  await openClient()
  const second = world.connect(auth)
  expect(await second.ended()).toMatchObject({ status: 503 })
  await world.admin.clearFaults()
  await openClient()
})

test('a corrupt frame is written to the client and makes it deaf', async () => {
  const unhandled: unknown[] = []
  const note = (error: unknown) => void unhandled.push(error)
  const listeners = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', note)
  const client = await openClient()
  await world.admin.fault({ kind: 'corrupt', phone })
  await until(() => unhandled.length > 0, 'the unhandled rejection')
  void client.sock.ws.close()
  process.removeAllListeners('unhandledRejection')
  for (const listener of listeners) process.on('unhandledRejection', listener)
})

test('a late login replaces whoever is there by then, also when its own connection is gone', async () => {
  await world.admin.fault({ kind: 'late_login', ms: 400, phone, times: 1 })
  const early = world.connect(auth)
  const isUnderWay = async (): Promise<boolean> =>
    (await (await fetch(`${world.whatsapp.adminUrl}/faults`)).text()) === '[]'
  await until(isUnderWay, 'the login to be under way')
  await early.sock.end(undefined)
  const next = await openClient()
  expect(await next.ended()).toMatchObject({ status: 440 })
  await openClient()
})
