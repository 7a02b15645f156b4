import { afterEach, beforeEach, expect, test } from 'vitest'
import { Inbox } from '#runner/app/inbox.ts'
import { silent } from '#runner/runner.fixture.ts'
import { openWorld, type World as StateWorld } from '#runner/state/testing.ts'
import type { SessionState } from '#runner/state/session-state.ts'
import { baileysSockets } from '#runner/whatsapp/baileys-socket.ts'
import { plainText } from '#runner/whatsapp/plain-text.ts'
import { silenceConsole } from '#runner/whatsapp/library/silent-console.ts'
import type { WhatsAppSocket } from '#runner/whatsapp/socket.ts'
import { systemClock } from '#shared/clock.ts'
import { testWorld, until, type TestWorld } from '#test/whatsapp/testing.ts'

/** What a stranger sends to a session, sealed and signed as it should be, on the real socket. */

const ADA = '4915100000001'
const BOB = '4915100000002'
const EVE = '4915100000003'
const BOBS = `${BOB}@s.whatsapp.net`
const SENT = '3EB0AAAAAAAAAAAAAAAAAA'

let whatsapp: TestWorld
let stateWorld: StateWorld
let state: SessionState
let inbox: Inbox
let jid = ''
const open: WhatsAppSocket[] = []
const dropped: string[] = []
const counted: string[] = []

beforeEach(async () => {
  dropped.length = 0
  counted.length = 0
  whatsapp = await testWorld()
  silenceConsole(silent)
  stateWorld = await openWorld()
  state = await stateWorld.open(1)
  inbox = new Inbox(state)
})
afterEach(async () => {
  for (const socket of open.splice(0)) await socket.handOver()
  await whatsapp.close()
  await stateWorld[Symbol.asyncDispose]()
})

const FOR_BOB = plainText('for Bob alone')

/** A connection of Ada's, who sent one message, to Bob. */
function connect() {
  const told = { qr: '', opened: false, closed: false, received: 0 }
  const settings = {
    url: whatsapp.whatsapp.url,
    version: undefined,
    connectTimeoutMs: 5_000,
    keepAliveEveryMs: 30_000,
    queryTimeoutMs: 20_000,
  }
  const socket = baileysSockets({ settings, clock: systemClock, log: undefined, proxies: () => undefined })({
    state,
    inbox,
    proxy: undefined,
    sentMessage: async (id, isFor) => (id === SENT && isFor(BOBS) ? FOR_BOB : undefined),
    dropped: (what) => void dropped.push(what),
    mayWrite: () => true,
    events: {
      qr: (text) => void (told.qr ||= text),
      paired: () => undefined,
      open: (me) => {
        told.opened = true
        jid = me.jid
      },
      acknowledged: () => undefined,
      receipt: (ids, kind, isFor) => {
        for (const id of ids) counted.push(`${id} ${kind} ${id === SENT && isFor(BOBS)}`)
      },
      received: () => void told.received++,
      secretChanged: () => undefined,
      codeOutdated: () => undefined,
      closed: () => void (told.closed = true),
    },
  })
  open.push(socket)
  return { socket, told }
}

type Connection = ReturnType<typeof connect>

async function paired(): Promise<Connection> {
  for (const phone of [ADA, BOB, EVE]) await whatsapp.admin.phone(phone)
  const first = connect()
  const qr = await until(() => first.told.qr || undefined, 'a QR')
  await whatsapp.admin.scan(ADA, qr)
  await until(() => first.told.closed, 'the end that pairing brings')
  const connection = connect()
  await until(() => connection.told.opened, 'the connection')
  await dealtWith()
  return connection
}

/** All that the server had for the device was taken. */
const dealtWith = (): Promise<unknown> =>
  until(async () => {
    const { queued, queuedOther } = await whatsapp.admin.device(jid)
    return queued === 0 && queuedOther === 0
  }, 'everything to be taken')

/** The feed's part of what came in. */
const items = () => inbox.waiting(state.storedCreds(), 1_000)
const ids = (type: string): string[] => [...state.records.idsOf(type)]

test('F5: a stranger speaks for nobody: no copy of his is in the feed, one of our own phone is', async () => {
  const ada = await paired()
  const copy = { destinationJid: '4915199999999@s.whatsapp.net', message: { conversation: 'I resign' } }
  await whatsapp.admin.forge(EVE, { to: ADA, message: { deviceSentMessage: copy } })
  await until(() => ada.told.received === 1, 'the forged copy')
  await whatsapp.admin.send(ADA, { to: BOB, text: 'by Ada herself' })
  await until(() => ada.told.received === 2, 'the true one')
  const [forged, own] = items()
  expect(forged).toMatchObject({ isForged: true })
  expect(forged).not.toHaveProperty('item')
  expect(own).toMatchObject({
    item: { from: `${ADA}@s.whatsapp.net`, chat: BOBS, text: 'by Ada herself' },
  })
})

test('F3: two hundred messages with sender keys for foreign groups leave no key, and the others go on', async () => {
  const ada = await paired()
  const group = await whatsapp.admin.group('Ours', [ADA, BOB, EVE])
  await whatsapp.admin.sendGroup(EVE, { group: group.id, text: 'with its key' })
  await until(() => ada.told.received > 0, 'the group text')
  await dealtWith()
  const before = ids('sender-key')
  expect(before).toHaveLength(1)
  // A key that libsignal takes, for groups that there are not.
  const key = Buffer.from(keyBytes()).toString('base64')
  for (let number = 0; number < 200; number++) {
    const groupId = `1203639${String(number).padStart(11, '0')}@g.us`
    const senderKeyDistributionMessage = { groupId, axolotlSenderKeyDistributionMessage: key }
    await whatsapp.admin.forge(EVE, { to: ADA, message: { senderKeyDistributionMessage } })
  }
  await until(() => dropped.filter((what) => what === 'sender_key').length === 200, 'all keys to be dropped')
  await dealtWith()
  expect(ids('sender-key')).toEqual(before)
  await whatsapp.admin.sendGroup(EVE, { group: group.id, text: 'without' })
  await until(() => items().some(({ item }) => item?.text === 'without'), 'the next group text')
})

test('F5: who was not written to gets no text, changes no session, and his receipts say so', async () => {
  const ada = await paired()
  await ada.socket.send({ id: SENT, to: BOBS, prepared: FOR_BOB })
  await whatsapp.phoneReads(BOB, 'for Bob alone')
  const sessions = ids('session')
  const accepted = async (): Promise<number> => (await whatsapp.admin.accepted(SENT)).length
  const sent = await accepted()
  for (const id of [SENT, '3EB0BBBBBBBBBBBBBBBBBB'])
    await whatsapp.admin.forgeReceipt(EVE, { to: jid, id, type: 'retry' })
  await until(() => dropped.filter((what) => what === 'retry').length === 2, 'both to be refused')
  await whatsapp.admin.forgeReceipt(EVE, { to: jid, id: SENT, type: 'read' })
  await until(() => counted.includes(`${SENT} read false`), 'the receipt')
  await dealtWith()
  expect(await accepted()).toBe(sent)
  expect(ids('session')).toEqual(sessions)
  expect(await whatsapp.admin.messages(EVE)).toEqual([])

  await whatsapp.admin.forgeReceipt(BOB, { to: jid, id: SENT, type: 'read' })
  await until(() => counted.includes(`${SENT} read true`), "Bob's receipt")
  await whatsapp.admin.forget(BOB, { of: jid })
  await whatsapp.admin.forgeReceipt(BOB, { to: jid, id: SENT, type: 'retry' })
  await until(async () => (await accepted()) > sent, 'Bob to get it again')
})

/** A sender key as it travels: version 3, number 1, at its beginning, a chain key and a key to sign with. */
const keyBytes = (): Uint8Array =>
  Buffer.concat([
    Buffer.of(0x33, 0x08, 1, 0x10, 0, 0x1a, 32),
    Buffer.alloc(32, 7),
    Buffer.of(0x22, 33, 5),
    Buffer.alloc(32, 9),
  ])
