import { BufferJSON, type proto } from '@whiskeysockets/baileys'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { pn, testWorld, until, type Auth, type TestWorld } from './testing.ts'

const ADA = '4915100000001'
const BOB = '4915100000002'

let world: TestWorld

beforeEach(async () => {
  world = await testWorld()
})
afterEach(() => world.close())

test('a simulated device that lost its session asks again and gets the message from the client', async () => {
  const sent = new Map<string, proto.IMessage>()
  const ada = await world.pair(ADA, { getMessage: async ({ id }) => sent.get(id ?? '') })
  await world.admin.phone(BOB)
  await world.admin.companion(BOB)
  // The request can come back before `sendMessage` resolves, so the message is known before it is sent.
  const send = async (text: string) => {
    sent.set(text, { conversation: text })
    await ada.sock.sendMessage(pn(BOB), { text }, { messageId: text })
  }
  await send('first')
  for (const device of [0, 1]) await world.phoneReads(BOB, 'first', device)
  for (const device of [0, 1]) await world.admin.send(BOB, { to: ADA, text: `heard ${device}`, device })
  for (const device of [0, 1]) await world.reads(ada, `heard ${device}`)
  for (const device of [0, 1]) await world.admin.forget(BOB, { device, of: `${ADA}:1@s.whatsapp.net` })
  await send('second')
  for (const device of [0, 1])
    expect(await world.phoneReads(BOB, 'second', device)).toMatchObject({ copies: 1 })
  const report = await world.admin.report()
  expect(report.devices[`${ADA}:1@s.whatsapp.net`]).toMatchObject({ retriesReceived: 2, duplicates: 0 })
  expect(report.devices[`${BOB}:1@s.whatsapp.net`]).toMatchObject({ retriesSent: 1 })
})

test('a client that lost its session asks again and gets the message from the simulated device', async () => {
  const ada = await world.pair(ADA)
  await world.admin.phone(BOB)
  await world.admin.send(BOB, { to: ADA, text: 'first' })
  await world.reads(ada, 'first')
  await ada.sock.sendMessage(pn(BOB), { text: 'heard' })
  await world.phoneReads(BOB, 'heard')
  const sessions = ada.auth.keys.session ?? {}
  for (const address of Object.keys(sessions)) delete sessions[address]
  await world.admin.send(BOB, { to: ADA, text: 'second' })
  await world.reads(ada, 'second')
  const { devices, retries } = await world.admin.report()
  expect(devices[`${ADA}:1@s.whatsapp.net`]?.retriesSent).toBeGreaterThan(0)
  expect(retries[0]).toMatchObject({ by: `${ADA}:1@s.whatsapp.net`, sender: `${BOB}@s.whatsapp.net` })
})

test('a member that lost the group key asks again and gets it with the message', async () => {
  const sent = new Map<string, proto.IMessage>()
  const ada = await world.pair(ADA, { getMessage: async ({ id }) => sent.get(id ?? '') })
  const bob = await world.pair(BOB)
  const { id } = await world.admin.group('Two', [ADA, BOB])
  await ada.sock.sendMessage(id, { text: 'first' })
  await world.reads(bob, 'first')
  const keys = bob.auth.keys['sender-key'] ?? {}
  for (const name of Object.keys(keys)) delete keys[name]
  sent.set('SECOND', { conversation: 'second' })
  await ada.sock.sendMessage(id, { text: 'second' }, { messageId: 'SECOND' })
  await world.reads(bob, 'second')
  expect(await world.admin.device(`${ADA}:1@s.whatsapp.net`)).toMatchObject({
    retriesReceived: 1,
    duplicates: 0,
  })
})

test('a companion that lost the key to a phone of the group gets it back from the phone', async () => {
  const ada = await world.pair(ADA)
  await world.admin.phone(BOB)
  const { id } = await world.admin.group('Two', [ADA, BOB])
  await world.admin.sendGroup(BOB, { group: id, text: 'first' })
  await world.reads(ada, 'first')
  const keys = ada.auth.keys['sender-key'] ?? {}
  for (const name of Object.keys(keys)) delete keys[name]
  await world.admin.sendGroup(BOB, { group: id, text: 'second' })
  await world.reads(ada, 'second')
})

test('a client that goes on from an older backup is found out: the companions of a peer cannot read it', async () => {
  const sent = new Map<string, proto.IMessage>()
  const getMessage = async ({ id }: { id?: string | null }) => sent.get(id ?? '')
  const ada = await world.pair(ADA, { getMessage })
  await world.admin.phone(BOB)
  await world.admin.companion(BOB)
  const jid = `${ADA}:1@s.whatsapp.net`
  const send = async (client: typeof ada, text: string) => {
    sent.set(text, { conversation: text })
    await client.sock.sendMessage(pn(BOB), { text }, { messageId: text })
    await world.phoneReads(BOB, text, 1)
  }
  await send(ada, 'ONE')
  await world.admin.send(BOB, { to: ADA, text: 'heard', device: 1 })
  await world.reads(ada, 'heard')
  await send(ada, 'TWO')
  const backup = JSON.stringify(ada.auth, BufferJSON.replacer)
  await send(ada, 'THREE')
  expect(await world.admin.device(jid)).toMatchObject({ retriesReceived: 0 })
  void ada.sock.ws.close()
  await ada.ended()

  const restored = world.connect(JSON.parse(backup, BufferJSON.reviver) as Auth, { getMessage })
  await restored.opened()
  await send(restored, 'FOUR')
  await until(async () => (await world.admin.device(jid)).retriesReceived === 1, 'the request')
  const { retries } = await world.admin.report()
  expect(retries).toMatchObject([{ id: 'FOUR', by: `${BOB}:1@s.whatsapp.net`, sender: jid, count: 1 }])
})
