import { testBodies } from '#test/bodies.ts'
import { encodeWAMessage, type BinaryNode } from '@whiskeysockets/baileys'
import { afterEach, expect, test } from 'vitest'
import { Runner } from '#runner/runner.ts'
import { noUnlink, recordedLog, socketOf } from '#runner/runner.fixture.ts'
import { WATCHDOG_TIMES } from '#runner/session/watchdog.ts'
import { APP_TYPE } from '#runner/state/app-records.ts'
import { CREDS_KEY, encodeValue, recordKey } from '#runner/state/record.ts'
import { credsRecord } from '#runner/state/testing.ts'
import type { OpenSocketAsk } from '#runner/whatsapp/socket.ts'
import { CodedError } from '#shared/errors.ts'
import { sessionKey } from '#shared/ids.ts'
import { seededRandom } from '#shared/random.ts'
import { sealRequest } from '#shared/sealing/outbox-bodies.ts'
import type { Stores } from '#shared/store/stores.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { message, newSession } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { MemoryDatabase } from '#test/simulation/memory/database.ts'
import { memoryStores } from '#test/simulation/memory/stores.ts'

/** A whole runner over stores of which one goes away: what waits for it is told in the status, by name and time. */

const SESSION = newSession('acme', 'shop')
const KEY = sessionKey(SESSION.tenant, SESSION.id)
const ME = { jid: '4915112345678:1@s.whatsapp.net' }
const away = { kind: 'fail_before', error: new CodedError('store_unavailable', 'scripted') } as const
const ended: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ended.splice(0)) await end()
})

/** A disk that keeps nothing. */
const forgetful = {
  keys: async () => [],
  load: async () => undefined,
  append: () => undefined,
  rebase: async () => undefined,
  drop: async () => undefined,
  settle: async () => undefined,
}

async function begin() {
  const clock = fakeClock()
  const stores = memoryStores(new MemoryDatabase(() => clock.nowMs()))
  const scripts: { [Name in 'feed' | 'journal' | 'events' | 'sessions']: Script<Stores[Name]> } = {
    feed: {},
    journal: {},
    events: {},
    sessions: {},
  }
  const { log, lines } = recordedLog()
  const asked: OpenSocketAsk[] = []
  const runner = new Runner({
    bodies: testBodies(),
    stores: {
      ...stores,
      feed: faulty(stores.feed, scripts.feed),
      journal: faulty(stores.journal, scripts.journal),
      events: faulty(stores.events, scripts.events),
      sessions: faulty(stores.sessions, scripts.sessions),
    },
    clock,
    random: seededRandom(1),
    log,
    openSocket: (ask) => {
      asked.push(ask)
      ask.state.followCreds(() => [CREDS_KEY, credsRecord()])
      return socketOf({
        handOver: async () => ask.events.closed({ by: 'us', message: 'handed over' }),
        health: () => ({ ...socketOf().health(), lastFrameMs: clock.monotonicMs() }),
      })
    },
    unlinkDevice: noUnlink,
    workingCopies: forgetful,
    settings: {
      name: 'test',
      version: '0',
      workDir: '',
      lease: { renewEveryMs: 2_500, renewWithinMs: 6_500, leaseForMs: 10_000 },
      watchdog: WATCHDOG_TIMES,
      resyncEveryMs: 3_600_000,
      connectsPerSecond: 1_000,
      connectingMax: 100,
      capacity: 100,
      rebalancePerMinute: 0,
      reconcile: true,
    },
  })
  const latest = (): OpenSocketAsk => {
    const ask = asked.at(-1)
    if (!ask) throw new Error('no connection was opened')
    return ask
  }
  const openedAtMs = clock.nowMs()
  const pairing = {
    id: 'w',
    method: 'qr',
    openedAtMs,
    expiresAtMs: openedAtMs + 60_000,
    replace: false,
  } as const
  await stores.sessions.create({ ...SESSION, want: { ...SESSION.want, pairing } })
  await runner.start()
  await clock.advance(5_000)
  latest().state.journal.credsChanged()
  latest().events.paired()
  latest().events.closed({ by: 'server', status: 515, message: 'restart required' })
  await clock.advance(5_000)
  latest().events.open(ME)
  await clock.advance(1_000)
  ended.push(async () => {
    for (const script of Object.values(scripts))
      for (const name of Object.keys(script)) delete script[name as never]
    const stopped = runner.stop()
    await clock.advance(30_000)
    await stopped
  })
  const status = async () => (await stores.sessions.get(KEY))?.status
  const waiting = async () => (await status())?.waiting ?? []
  /** A message is received and receipted. */
  const receive = async (): Promise<void> => {
    const { inbox, state, events } = latest()
    const ciphertext = Uint8Array.of(1, 2, 3)
    const enc: BinaryNode = { tag: 'enc', attrs: {}, content: ciphertext }
    const attrs = { id: 'M1', from: '4917000000002@s.whatsapp.net', t: '1790000000' }
    inbox.note({ tag: 'message', attrs, content: [enc] })
    const kept = inbox.keep(ciphertext, encodeWAMessage({ conversation: 'hello' }))
    if (!kept) throw new Error('it was not kept')
    await state.journal.set([[recordKey(APP_TYPE, kept.id), encodeValue(kept.value)]])
    events.received()
  }
  return { clock, stores, scripts, runner, lines, latest, status, waiting, receive }
}

test('that messages are not in the feed is told after a minute, and no longer once they are', async () => {
  const { clock, scripts, receive, waiting, status, runner, lines } = await begin()
  scripts.feed.add = away
  const since = clock.nowMs()
  await receive()
  await clock.advance(58_000)
  expect([await waiting(), runner.late]).toEqual([[], []])
  await clock.advance(4_000)
  expect(await waiting()).toEqual([{ what: 'inbox', since }])
  expect(await status()).toMatchObject({ phase: 'connected' })
  expect(runner.late).toMatchObject([{ what: 'inbox', sessions: 1 }])
  await clock.advance(60_000)
  const told = lines.find(({ message: said }) => said === 'something waits for longer than a minute')
  expect(told).toMatchObject({ what: 'inbox', sessions: 1 })
  delete scripts.feed.add
  await clock.advance(15_000)
  expect([await waiting(), runner.late]).toEqual([[], []])
})

test('that messages do not leave a session that is connected is told alike', async () => {
  const { clock, stores, latest, waiting } = await begin()
  const { id } = message(1)
  const request = await sealRequest(testBodies(), KEY, id, { type: 'text', text: { body: 'hello' } })
  await stores.outbox.enqueue(KEY, message(1, { request, expiresAt: clock.nowMs() + 86_400_000 }))
  const since = clock.nowMs()
  await clock.advance(62_000)
  expect(await waiting()).toEqual([{ what: 'outbox', since }])
  latest().events.acknowledged(message(1).id, undefined)
  await clock.advance(2_000)
  expect(await waiting()).toEqual([])
  expect(await stores.outbox.get(KEY, message(1).id)).toMatchObject({ state: 'sent' })
})

test('that events can’t be written is told in a status that can', async () => {
  const { clock, scripts, latest, waiting } = await begin()
  scripts.events.append = away
  latest().events.closed({ by: 'server', status: 428, message: 'Connection Terminated' })
  await clock.advance(5_000)
  latest().events.open(ME)
  await clock.advance(62_000)
  expect(await waiting()).toMatchObject([{ what: 'writes' }])
  delete scripts.events.append
  await clock.advance(15_000)
  expect(await waiting()).toEqual([])
})

test('a session whose journal is away is not called connected, and says what it waits for', async () => {
  const { clock, scripts, latest, waiting, status } = await begin()
  scripts.journal.append = away
  const since = clock.nowMs()
  latest()
    .state.journal.set([['session/a', Uint8Array.of(1)]])
    .catch(() => undefined)
  await clock.advance(63_000)
  expect(await status()).toMatchObject({ phase: 'rehydrating', waiting: [{ what: 'journal', since }] })
  delete scripts.journal.append
  await clock.advance(65_000)
  latest().events.open(ME)
  await clock.advance(2_000)
  expect([(await status())?.phase, await waiting()]).toEqual(['connected', []])
})

test('that statuses can’t be written is known without any store', async () => {
  const { clock, scripts, latest, runner, lines } = await begin()
  scripts.sessions.reportStatus = away
  latest().events.closed({ by: 'server', status: 428, message: 'Connection Terminated' })
  await clock.advance(122_000)
  expect(runner.late).toMatchObject([{ what: 'status', sessions: 1 }])
  const told = lines.find(({ message: said }) => said === 'something waits for longer than a minute')
  expect(told).toMatchObject({ what: 'status', sessions: 1 })
  delete scripts.sessions.reportStatus
  await clock.advance(15_000)
  expect(runner.late).toEqual([])
})
