import { proto } from '@whiskeysockets/baileys'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { revive } from './client.ts'
import { pn, testWorld, until, type TestWorld } from './testing.ts'

const ADA = '4915100000001'
const BOB = '4915100000002'
const CLEO = '4915100000003'

let world: TestWorld

beforeEach(async () => {
  world = await testWorld()
})
afterEach(() => world.close())

test('two clients write to each other, and each message is accepted, delivered and receipted once', async () => {
  const ada = await world.pair(ADA)
  const bob = await world.pair(BOB)
  await world.admin.resetReport()
  await ada.sock.sendMessage(pn(BOB), { text: 'hello Bob' })
  await world.reads(bob, 'hello Bob')
  await bob.sock.sendMessage(pn(ADA), { text: 'hello Ada' })
  await world.reads(ada, 'hello Ada')
  await until(
    async () => (await world.admin.device(`${ADA}:1@s.whatsapp.net`)).receipted === 1,
    'the receipt',
  )
  expect(await world.admin.device(`${ADA}:1@s.whatsapp.net`)).toMatchObject({
    accepted: 1,
    acked: 1,
    delivered: 1,
    redelivered: 0,
    duplicates: 0,
    leftOut: 0,
    nacks: {},
    queued: 0,
  })
  expect((await world.admin.report()).totals).toMatchObject({ retries: 0, duplicates: 0 })
})

test('a phone and a client write to each other, and the client sees its message delivered', async () => {
  const ada = await world.pair(ADA)
  await world.admin.phone(BOB, 'Bob')
  await world.admin.send(BOB, { to: ADA, text: 'from the phone' })
  await world.reads(ada, 'from the phone')
  const sent = await ada.sock.sendMessage(pn(BOB), { text: 'to the phone' })
  expect(await world.phoneReads(BOB, 'to the phone')).toMatchObject({
    from: `${ADA}:1@s.whatsapp.net`,
    copies: 1,
  })
  const id = sent?.key.id ?? ''
  await until(() => ada.status(id) === proto.WebMessageInfo.Status.DELIVERY_ACK, 'the delivery receipt')
})

test('a person with companions reads a message on each, and each can answer', async () => {
  const ada = await world.pair(ADA)
  await world.admin.phone(BOB)
  await world.admin.companion(BOB)
  await world.admin.companion(BOB)
  await ada.sock.sendMessage(pn(BOB), { text: 'to all of you' })
  for (const device of [0, 1, 2]) await world.phoneReads(BOB, 'to all of you', device)
  for (const device of [0, 1, 2]) {
    await world.admin.send(BOB, { to: ADA, text: `answer ${device}`, device })
    await world.reads(ada, `answer ${device}`)
  }
})

test('a phone sees what its own client writes, and the client sees what its phone writes', async () => {
  const ada = await world.pair(ADA)
  await world.admin.phone(BOB)
  await ada.sock.sendMessage(pn(BOB), { text: 'written on the client' })
  await until(
    async () =>
      (await world.admin.messages(ADA, { own: true })).find(({ text }) => text === 'written on the client'),
    'the copy',
  )
  await world.admin.send(ADA, { to: BOB, text: 'written on the phone' })
  const copy = await until(() => ada.find('written on the phone'), 'the copy')
  expect(copy.key).toMatchObject({ fromMe: true, remoteJid: pn(BOB) })
})

test('a group message reaches every member, from clients and from phones, with sender keys sent once', async () => {
  const ada = await world.pair(ADA)
  const bob = await world.pair(BOB)
  await world.admin.phone(CLEO)
  await world.admin.companion(CLEO)
  const { id } = await world.admin.group('Three', [ADA, BOB, CLEO])
  for (const round of [1, 2]) {
    await ada.sock.sendMessage(id, { text: `Ada ${round}` })
    await world.reads(bob, `Ada ${round}`)
    await world.phoneReads(CLEO, `Ada ${round}`, 0)
    await world.phoneReads(CLEO, `Ada ${round}`, 1)
    await world.admin.sendGroup(CLEO, { group: id, text: `Cleo ${round}` })
    await world.reads(ada, `Cleo ${round}`)
    await world.reads(bob, `Cleo ${round}`)
  }
  const metadata = await ada.sock.groupMetadata(id)
  expect(metadata).toMatchObject({ subject: 'Three', size: 3, addressingMode: 'lid' })
  expect((await world.admin.report()).totals.retries).toBe(0)
})

test('what comes while a client is away waits for it, marked offline, until it is receipted', async () => {
  const ada = await world.pair(ADA)
  await world.admin.phone(BOB)
  void ada.sock.ws.close()
  await ada.ended()
  await until(async () => (await world.admin.device(`${ADA}:1@s.whatsapp.net`)).open === 0, 'the close')
  const { ids } = await world.admin.burst(BOB, { to: ADA, count: 5, prefix: 'missed ' })
  await until(async () => (await world.admin.device(`${ADA}:1@s.whatsapp.net`)).queued === 5, 'the queue')

  const again = world.connect(ada.auth)
  await world.reads(again, 'missed 4')
  await until(async () => (await world.admin.device(`${ADA}:1@s.whatsapp.net`)).queued === 0, 'the receipts')
  expect(again.messages.filter(({ type }) => type === 'append').map(({ message }) => message.key.id)).toEqual(
    ids,
  )
})

test('a message whose receipt got lost comes again at the next login', async () => {
  const ada = await world.pair(ADA)
  await world.admin.phone(BOB)
  await world.admin.resetReport()
  await world.admin.fault({
    kind: 'swallow',
    direction: 'in',
    match: { tag: 'receipt' },
    phone: ADA,
    times: 1,
  })
  await world.admin.send(BOB, { to: ADA, text: 'once' })
  await world.reads(ada, 'once')
  expect(await world.admin.device(`${ADA}:1@s.whatsapp.net`)).toMatchObject({ queued: 1, delivered: 1 })
  void ada.sock.ws.close()
  await ada.ended()
  await world.connect(ada.auth).opened()
  await until(
    async () => (await world.admin.device(`${ADA}:1@s.whatsapp.net`)).queued === 0,
    'the confirmation',
  )
  // The second copy is a `pkmsg` that was opened before: rc14 refuses it with 487, which confirms it too.
  expect(await world.admin.device(`${ADA}:1@s.whatsapp.net`)).toMatchObject({
    redelivered: 1,
    nacks: { 487: 1 },
  })
})

test('a second message under the same id is acknowledged, counted, and goes nowhere', async () => {
  const ada = await world.pair(ADA)
  await world.admin.phone(BOB)
  await ada.sock.sendMessage(pn(BOB), { text: 'once' }, { messageId: 'SAMEID1' })
  await ada.sock.sendMessage(pn(BOB), { text: 'once' }, { messageId: 'SAMEID1' })
  await until(async () => (await world.admin.device(`${ADA}:1@s.whatsapp.net`)).accepted === 2, 'both')
  expect(await world.phoneReads(BOB, 'once')).toMatchObject({ copies: 1 })
  expect(await world.admin.device(`${ADA}:1@s.whatsapp.net`)).toMatchObject({ acked: 2, duplicates: 1 })
  const seen = await world.admin.accepted('SAMEID1')
  expect(seen.map(({ duplicate }) => duplicate)).toEqual([false, true])
  expect(BigInt(seen[1]?.seenAtNs ?? 0)).toBeGreaterThan(BigInt(seen[0]?.seenAtNs ?? 0))
})

test('a one-time key is handed out once, and a device that runs low is asked for more', async () => {
  const [session] = await world.admin.seed({ count: 1, preKeys: 8 })
  if (!session) throw new Error('nothing was seeded')
  const jid = session.jid
  for (let phone = 0; phone < 3; phone++) {
    await world.admin.phone(`491520000000${phone}`)
    await world.admin.send(`491520000000${phone}`, { to: session.phone, text: `hello ${phone}` })
  }
  expect(await world.admin.device(jid)).toMatchObject({ preKeysTaken: 3, preKeysAvailable: 5, queued: 3 })
  const client = world.connect(revive(session))
  await world.reads(client, 'hello 2')
  // Five keys are few enough for rc14 to add five at login; the next call comes from the server.
  await until(async () => (await world.admin.device(jid)).preKeysUploaded === 13, 'the top-up')
  for (let phone = 3; phone < 9; phone++) {
    await world.admin.phone(`491520000000${phone}`)
    await world.admin.send(`491520000000${phone}`, { to: session.phone, text: `hello ${phone}` })
  }
  await world.reads(client, 'hello 8')
  await until(async () => (await world.admin.device(jid)).preKeysUploaded === 18, 'the answer to the call')
  expect((await world.admin.device(jid)).bundlesWithoutPreKey).toBe(0)
})

test('two clients of one phone see what the other writes, and neither asks again', async () => {
  const one = await world.pair(ADA)
  const two = await world.pair(ADA)
  await world.admin.phone(BOB)
  for (const round of [1, 2]) {
    await one.sock.sendMessage(pn(BOB), { text: `from one ${round}` })
    await two.sock.sendMessage(pn(BOB), { text: `from two ${round}` })
    await world.phoneReads(BOB, `from one ${round}`)
    await world.phoneReads(BOB, `from two ${round}`)
  }
  const wrote = (client: typeof one, text: string) => until(() => client.find(text)?.key, `"${text}"`)
  for (const round of [1, 2]) {
    expect(await wrote(two, `from one ${round}`)).toMatchObject({
      fromMe: true,
      remoteJid: pn(BOB),
    })
    expect(await wrote(one, `from two ${round}`)).toMatchObject({
      fromMe: true,
      remoteJid: pn(BOB),
    })
  }
  for (const device of [1, 2]) {
    const jid = `${ADA}:${device}@s.whatsapp.net`
    await until(async () => (await world.admin.device(jid)).queued === 0, 'the receipts')
    expect(await world.admin.device(jid)).toMatchObject({ leftOut: 0, nacks: {}, retriesSent: 0 })
  }
})

test('a read receipt of a client reaches the other', async () => {
  const ada = await world.pair(ADA)
  const bob = await world.pair(BOB)
  const sent = await ada.sock.sendMessage(pn(BOB), { text: 'read me' })
  await world.reads(bob, 'read me')
  const got = bob.find('read me')
  await bob.sock.readMessages(got ? [got.key] : [])
  await until(() => ada.status(sent?.key.id ?? '') === proto.WebMessageInfo.Status.READ, 'the read receipt')
})
