import { encodeWAMessage, proto, type BinaryNode } from '@whiskeysockets/baileys'
import { describe, expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import type { FeedStore } from '#shared/store/feed-store.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { KEY, memory, recordedLog } from '../runner.fixture.ts'
import { encodeValue, recordKey } from '../state/record.ts'
import { RecordMap } from '../state/record-map.ts'
import type { SessionState } from '../state/session-state.ts'
import { APP_TYPE } from '../state/app-records.ts'
import { Inbox } from './inbox.ts'
import { InboxDeliverer } from './inbox-deliverer.ts'

const PEER = '4917000000002@s.whatsapp.net'
const text = (words: string): Uint8Array => encodeWAMessage({ conversation: words })

/** Records whose changes are durable at once. */
function recordsState(records: RecordMap): SessionState {
  const set = async (changes: readonly (readonly [string, Uint8Array | null])[]): Promise<void> => {
    for (const [key, value] of changes) records.set(key, value)
  }
  return { records, journal: { set } } as unknown as SessionState
}

function begin(script: Script<FeedStore> = {}, records = new RecordMap()) {
  const clock = fakeClock()
  const { feed } = memory(clock).stores
  const added: number[] = []
  const counted: FeedStore = {
    ...feed,
    add: (key, items, nowMs) => (added.push(items.length), feed.add(key, items, nowMs)),
  }
  const { log, lines } = recordedLog()
  const state = recordsState(records)
  const inbox = new Inbox(state)
  let delivered = 0
  const deliverer = new InboxDeliverer({
    key: KEY,
    inbox,
    creds: () => undefined,
    store: faulty(counted, script),
    clock,
    log,
    delivered: (count) => (delivered += count),
  })
  let number = 0
  /** A message is decrypted: noted, kept and durable. Answers its record. */
  const receive = (plaintext: Uint8Array, id = `M${number}`): void => {
    const ciphertext = Uint8Array.of(7, number++)
    const enc: BinaryNode = { tag: 'enc', attrs: {}, content: ciphertext }
    inbox.note({ tag: 'message', attrs: { id, from: PEER, t: '1790000000' }, content: [enc] })
    const kept = inbox.keep(ciphertext, plaintext)
    if (kept) records.set(recordKey(APP_TYPE, kept.id), encodeValue(kept.value))
  }
  const texts = async () => (await feed.list(KEY, { limit: 1_000 })).items.map((item) => item.text)
  return { clock, feed, deliverer, receive, texts, added, lines, records, script, count: () => delivered }
}

const away = { kind: 'fail_before', error: new CodedError('store_unavailable', 'scripted') } as const

describe('the inbox is delivered', () => {
  test('past a message whose text no store can keep: it is told of without it, and those after it come', async () => {
    const { clock, feed, deliverer, receive, texts, lines } = begin()
    receive(text('one'))
    receive(text('x'.repeat(1 << 20)), 'TOO-LONG')
    receive(text('three'))
    deliverer.poke()
    await clock.settle()
    expect(await texts()).toEqual(['one', undefined, 'three'])
    const { items } = await feed.list(KEY, { limit: 9 })
    expect(items[1]).toMatchObject({ id: 'TOO-LONG', from: PEER, kind: 'unstorable' })
    expect(lines.map(({ message }) => message)).toEqual(['the feed can never keep the text of a message'])
    await deliverer.close()
  })

  test('in the order of arrival, each message once, and what waits together in one write', async () => {
    const { clock, deliverer, receive, texts, added, count } = begin()
    for (const words of ['one', 'two', 'three']) receive(text(words))
    deliverer.poke()
    deliverer.poke()
    await clock.settle()
    deliverer.poke()
    await clock.settle()
    expect(await texts()).toEqual(['one', 'two', 'three'])
    expect([added, count()]).toEqual([[3], 3])
    await deliverer.close()
    expect(clock.timers).toBe(0)
  })

  test('also what comes while it is at work', async () => {
    const held = Promise.withResolvers<void>()
    const { clock, deliverer, receive, texts } = begin({ add: [{ kind: 'delay', until: held.promise }] })
    receive(text('one'))
    deliverer.poke()
    await clock.settle()
    receive(text('two'))
    deliverer.poke()
    held.resolve()
    await clock.settle()
    expect(await texts()).toEqual(['one', 'two'])
    await deliverer.close()
  })

  test('in batches, however much waits', async () => {
    const { clock, deliverer, receive, texts, added } = begin()
    for (let at = 0; at < 250; at++) receive(text(`${at}`))
    deliverer.poke()
    await clock.settle()
    expect(await texts()).toEqual(Array.from({ length: 250 }, (_, at) => `${at}`))
    expect(added).toEqual([100, 100, 50])
    await deliverer.close()
  })

  test('B5 when the feed is back, though it was away for long', async () => {
    const { clock, deliverer, receive, texts, script, lines } = begin({ add: away })
    receive(text('one'))
    deliverer.poke()
    await clock.advance(60_000)
    expect(await texts()).toEqual([])
    // It asks ever more rarely.
    expect(lines.length).toBeLessThan(20)
    delete script.add
    await clock.advance(10_000)
    expect(await texts()).toEqual(['one'])
    await deliverer.close()
    expect(clock.timers).toBe(0)
  })

  test('once although the answer of the feed was lost', async () => {
    const lost = { kind: 'fail_after', error: new CodedError('store_unavailable', 'scripted') } as const
    const { clock, deliverer, receive, texts } = begin({ add: [lost, lost] })
    receive(text('one'))
    deliverer.poke()
    await clock.advance(5_000)
    expect(await texts()).toEqual(['one'])
    await deliverer.close()
  })

  test('B5 by the next process what a crash left over', async () => {
    const before = begin({ add: away })
    before.receive(text('one'))
    before.receive(text('two'))
    before.deliverer.poke()
    before.deliverer.abandon()
    const { clock, deliverer, texts } = begin({}, before.records)
    deliverer.poke()
    await clock.settle()
    expect(await texts()).toEqual(['one', 'two'])
    await deliverer.close()
  })

  test('without what holds nothing for people, and without what nobody can read', async () => {
    const { clock, deliverer, receive, texts } = begin()
    receive(encodeWAMessage(proto.Message.fromObject({ protocolMessage: { type: 'EPHEMERAL_SETTING' } })))
    receive(new Uint8Array())
    receive(Uint8Array.of(255, 255, 255, 255, 1))
    receive(text('one'))
    deliverer.poke()
    await clock.settle()
    expect(await texts()).toEqual(['one'])
    await deliverer.close()
  })
})

describe('the end', () => {
  test('E7 nothing is written after it was abandoned', async () => {
    const { clock, deliverer, receive, texts, script, added } = begin({ add: away })
    receive(text('one'))
    deliverer.poke()
    await clock.advance(1_000)
    deliverer.abandon()
    delete script.add
    receive(text('two'))
    deliverer.poke()
    await clock.advance(60_000)
    expect([await texts(), added, clock.timers]).toEqual([[], [], 0])
  })

  test('close delivers what waits', async () => {
    const { deliverer, receive, texts, clock } = begin()
    receive(text('one'))
    deliverer.poke()
    await deliverer.close()
    expect([await texts(), clock.timers]).toEqual([['one'], 0])
    await deliverer.close()
  })

  test('close waits no longer than a moment for a feed that is away', async () => {
    const { clock, deliverer, receive, texts, records } = begin({ add: away })
    receive(text('one'))
    deliverer.poke()
    let closed = false
    void deliverer.close().then(() => (closed = true))
    await clock.advance(1_000)
    expect([closed, await texts(), clock.timers]).toEqual([true, [], 0])
    expect([...records.idsOf(APP_TYPE)]).toHaveLength(1)
  })
})
