import { afterEach, beforeEach, expect, test } from 'vitest'
import { AdminError } from './client.ts'
import { freshAuth, pn, shownQr, testWorld, until, type TestWorld } from './testing.ts'

let world: TestWorld

beforeEach(async () => {
  world = await testWorld()
})
afterEach(() => world.close())

test('a scanned QR links the client, which is told to come again with 515 and then reaches open', async () => {
  await world.admin.phone('4915100000001', 'Ada')
  const auth = freshAuth()
  const first = world.connect(auth)
  const linked = await world.admin.scan('4915100000001', await shownQr(first))
  expect(linked).toMatchObject({ device: 1, jid: '4915100000001:1@s.whatsapp.net' })
  expect(await first.ended()).toMatchObject({ status: 515 })
  expect(auth.creds.me).toMatchObject({ id: linked.jid, lid: linked.lid })
  expect(auth.creds.account?.accountSignature).toHaveLength(64)

  await world.connect(auth).opened()
  const { devices } = await world.admin.report()
  expect(devices[linked.jid]).toMatchObject({ logins: 1, open: 1, preKeysUploaded: 812 })
})

test('the first minutes bring an app-state key, a history and the name, so that events flow at once', async () => {
  const client = await world.pair('4915100000001')
  await until(() => client.auth.creds.myAppStateKeyId, 'the app-state key')
  await until(() => client.auth.creds.me?.name === 'Phone 4915100000001', 'the name')
  expect(client.auth.creds.processedHistoryMessages.length).toBeGreaterThan(0)
})

test('a typed code links the client that asked for it', async () => {
  await world.admin.phone('4915100000002')
  const auth = freshAuth()
  const client = world.connect(auth)
  await shownQr(client)
  const code = await client.sock.requestPairingCode('4915100000002')
  const linked = await until(
    () => world.admin.code('4915100000002', code).catch(retryWhileUnknown),
    'the link',
  )
  expect(await client.ended()).toMatchObject({ status: 515 })
  expect(auth.creds).toMatchObject({ registered: true, me: { id: linked.jid } })
  await world.connect(auth).opened()
})

test('a wrong code links nothing', async () => {
  await world.admin.phone('4915100000002')
  const client = world.connect(freshAuth())
  await shownQr(client)
  await client.sock.requestPairingCode('4915100000002')
  const wrong = until(
    () => world.admin.code('4915100000002', 'AAAA-AAAA').catch(retryWhileUnknown),
    'an answer',
  )
  await expect(wrong).rejects.toMatchObject({ code: 'code_refused' })
  expect((await world.admin.phoneReport('4915100000002')).linkedDevices).toEqual([])
})

test('a phone refuses a fifth companion', async () => {
  await world.admin.phone('4915100000003')
  for (let device = 1; device <= 4; device++) await world.admin.companion('4915100000003')
  const client = world.connect(freshAuth())
  const scan = world.admin.scan('4915100000003', await shownQr(client))
  await expect(scan).rejects.toMatchObject({ code: 'too_many_devices' })
  const { linkedDevices, linkedMax } = await world.admin.phoneReport('4915100000003')
  expect([linkedDevices.length, linkedMax]).toEqual([4, 4])
})

test('a QR whose keys were exchanged is refused', async () => {
  await world.admin.phone('4915100000003')
  const qr = await shownQr(world.connect(freshAuth()))
  const [ref, , ...rest] = qr.split(',')
  const forged = [ref, Buffer.alloc(32).toString('base64'), ...rest].join(',')
  await expect(world.admin.scan('4915100000003', forged)).rejects.toMatchObject({ code: 'qr_forged' })
})

test('references run out: the client gives up with 408 and no phone accepts what it showed', async () => {
  await world.admin.phone('4915100000004')
  await world.admin.fault({ kind: 'qr_refs', count: 1 })
  const client = world.connect(freshAuth(), { qrTimeout: 100 })
  const qr = await shownQr(client)
  expect(await client.ended()).toMatchObject({ status: 408, message: 'QR refs attempts ended' })
  await until(async () => {
    const refused = await world.admin.scan('4915100000004', qr).catch((error: AdminError) => error.code)
    return refused === 'qr_unknown'
  }, 'the QR to be forgotten')
})

test('a companion that comes is announced to those who know the account', async () => {
  const client = await world.pair('4915100000005')
  await world.admin.phone('4915100000006')
  await client.sock.sendMessage(pn('4915100000006'), { text: 'before' })
  await world.admin.companion('4915100000006')
  await until(async () => {
    await client.sock.sendMessage(pn('4915100000006'), { text: 'after' })
    return (await world.admin.messages('4915100000006', { device: 1 })).some(({ text }) => text === 'after')
  }, 'the new companion to be written to')
})

/** Baileys does not wait for the answer to its hello, so the code may be typed before the server knows of it. */
function retryWhileUnknown(error: unknown): undefined {
  if (error instanceof AdminError && error.code === 'code_unknown') return undefined
  throw error
}
