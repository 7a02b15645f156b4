import { afterEach, beforeEach, expect, test } from 'vitest'
import type { JournalStore } from '#shared/store/journal-store.ts'
import { openWorld, type World as StateWorld } from '#runner/state/testing.ts'
import type { SessionState } from '#runner/state/session-state.ts'
import { silent } from '#runner/runner.fixture.ts'
import { baileysSockets } from '#runner/whatsapp/baileys-socket.ts'
import { plainText } from '#runner/whatsapp/plain-text.ts'
import { Inbox } from '#runner/app/inbox.ts'
import { silenceConsole } from '#runner/whatsapp/library/silent-console.ts'
import type { WhatsAppSocket } from '#runner/whatsapp/socket.ts'
import { systemClock } from '#shared/clock.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { testWorld, until, type TestWorld } from '#test/whatsapp/testing.ts'

/** The measure of a deaf line, on the real socket: what an ordinary day brings never looks like one. */

const ADA = '4915100000001'
const BOB = '4915100000002'
const BOBS = `${BOB}@s.whatsapp.net`

let whatsapp: TestWorld
let stateWorld: StateWorld
let state: SessionState
let jid = ''
const journal: Script<JournalStore> = {}
const open: WhatsAppSocket[] = []

beforeEach(async () => {
  whatsapp = await testWorld()
  silenceConsole(silent)
  stateWorld = await openWorld()
  const { stores } = stateWorld
  const deps = stateWorld.deps({ stores: { ...stores, journal: faulty(stores.journal, journal) } })
  state = await stateWorld.open(1, deps)
})
afterEach(async () => {
  for (const socket of open.splice(0)) await socket.handOver()
  await whatsapp.close()
  await stateWorld[Symbol.asyncDispose]()
})

/** A connection of the session, and what it told. */
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
    inbox: new Inbox(state),
    proxy: undefined,
    sentMessage: async () => undefined,
    dropped: () => undefined,
    mayWrite: () => true,
    events: {
      qr: (text) => void (told.qr ||= text),
      paired: () => undefined,
      open: (me) => {
        told.opened = true
        jid = me.jid
      },
      acknowledged: () => undefined,
      receipt: () => undefined,
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

async function opened(): Promise<Connection> {
  const connection = connect()
  await until(() => connection.told.opened, 'the connection')
  return connection
}

/** Pairs, connects, and lets the protocol's own first messages (keys, history) pass. */
async function paired(): Promise<Connection> {
  await whatsapp.admin.phone(ADA)
  await whatsapp.admin.phone(BOB)
  const first = connect()
  const qr = await until(() => first.told.qr || undefined, 'a QR')
  await whatsapp.admin.scan(ADA, qr)
  await until(() => first.told.closed, 'the end that pairing brings')
  return opened()
}

/** All that the server had for the device has been dealt with, and nothing of it waits for anything. */
const dealtWith = ({ socket }: Connection, what: string): Promise<unknown> =>
  until(
    async () =>
      (await whatsapp.admin.device(jid)).queued === 0 && socket.health().messagesIdleSinceMs === undefined,
    `${what} to be dealt with`,
  )

const nowS = (): string => String(Math.floor(systemClock.nowMs() / 1000))
const enc = (type: string) => ({ tag: 'enc', attrs: { v: '2', type }, content: `no ciphertext of ${type}` })

/** Stanzas that come to nothing, each for a reason of its own. */
const HOPELESS: readonly [what: string, attrs: Record<string, string>, content: unknown[]][] = [
  ['a text that can not be read', {}, [enc('msg')]],
  ['a first text that can not be read', {}, [enc('pkmsg')]],
  [
    'a group text that can not be read',
    { from: '120363000000000001@g.us', participant: BOBS },
    [enc('skmsg')],
  ],
  [
    'a key and a group text, neither readable',
    { from: '120363000000000001@g.us', participant: BOBS },
    [enc('pkmsg'), enc('skmsg')],
  ],
  ['an old status', { from: 'status@broadcast', participant: BOBS, t: '1000' }, [enc('skmsg')]],
  ['a group text of nobody', { from: '120363000000000001@g.us' }, [enc('skmsg')]],
  ['a copy of what somebody else wrote', { recipient: `4915100000003@s.whatsapp.net` }, [enc('msg')]],
  ['a text from nowhere', { from: 'nobody@nowhere' }, [enc('msg')]],
  ['a ciphertext of an unknown kind', {}, [enc('frskmsg')]],
  ['an answer of a bot', {}, [enc('msmsg')]],
  [
    'what is on the phone only',
    {},
    [{ tag: 'unavailable', attrs: { type: 'view_once_unavailable_fanout' } }],
  ],
  ['an old announcement without content', { t: '1000' }, []],
  ['a message of the protocol that can not be read', { category: 'peer' }, [enc('msg')]],
]

test('B3 no message waits after it was dealt with: own, group, offline, twice, lost keys, protocol, hopeless', async () => {
  let ada = await paired()
  await dealtWith(ada, 'keys and history')
  expect(ada.socket.health().peerMessageSinceMs).toBeDefined()

  await whatsapp.admin.send(BOB, { to: ADA, text: 'a text' })
  await until(() => ada.told.received > 0, 'the text')
  await dealtWith(ada, 'a text')
  await ada.socket.send({ id: 'SENT1', to: BOBS, prepared: plainText('what we send is no arrival') })
  await whatsapp.phoneReads(BOB, 'what we send is no arrival')
  await whatsapp.admin.send(ADA, { to: BOB, text: 'of the own phone' })
  await dealtWith(ada, 'a text of the own phone')
  const group = await whatsapp.admin.group('Two', [ADA, BOB])
  for (const text of ['with its key', 'without'])
    await whatsapp.admin.sendGroup(BOB, { group: group.id, text })
  await dealtWith(ada, 'group texts')

  for (const [index, [what, attrs, content]] of HOPELESS.entries()) {
    const id = `HOPELESS${index}`
    const node = { tag: 'message', attrs: { id, from: BOBS, type: 'text', t: nowS(), ...attrs }, content }
    await whatsapp.admin.push(jid, node)
    await dealtWith(ada, what)
  }

  // Its session with Bob is gone: it asks for the text once more, and gets it.
  const sessions = [...state.records.idsOf('session')].map((id) => [`session/${id}`, null] as const)
  await state.journal.set(sessions)
  const before = ada.told.received
  await whatsapp.admin.send(BOB, { to: ADA, text: 'twice encrypted' })
  await until(() => ada.told.received > before, 'the text that was asked for again')
  await dealtWith(ada, 'a retry')

  // The receipts get lost, so all of it comes again at the next login, and is answered from the inbox.
  await whatsapp.admin.fault({ kind: 'swallow', direction: 'in', match: { tag: 'receipt' }, phone: ADA })
  const seen = ada.told.received
  await whatsapp.admin.burst(BOB, { to: ADA, count: 5, prefix: 'no receipt ' })
  await until(() => ada.told.received === seen + 5, 'the texts')
  expect(await whatsapp.admin.device(jid)).toMatchObject({ queued: 5 })
  expect(ada.socket.health().messagesIdleSinceMs).toBeUndefined()
  await ada.socket.handOver()
  await whatsapp.admin.clearFaults()
  await whatsapp.admin.burst(BOB, { to: ADA, count: 5, prefix: 'while away ' })
  await until(async () => (await whatsapp.admin.device(jid)).queued === 10, 'the queue')
  ada = await opened()
  await until(() => ada.told.received === 5, 'what is new')
  await dealtWith(ada, 'a backlog, half of it known')
})

test('B3 where nothing becomes of messages it shows, and is over once something does', async () => {
  const ada = await paired()
  await dealtWith(ada, 'keys and history')
  const held = Promise.withResolvers<void>()
  journal.append = { kind: 'delay', until: held.promise }
  await whatsapp.admin.send(BOB, { to: ADA, text: 'stuck' })
  await whatsapp.admin.send(BOB, { to: ADA, text: 'behind it' })
  const sinceMs = await until(() => ada.socket.health().messagesIdleSinceMs, 'it to show')
  expect(sinceMs).toBeLessThanOrEqual(systemClock.monotonicMs())
  delete journal.append
  held.resolve()
  await dealtWith(ada, 'what was stuck')
  expect(ada.told.received).toBe(2)
})
