import { encodeWAMessage, proto, type BinaryNode } from '@whiskeysockets/baileys'
import { describe, expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import type { FeedItem, FeedStore } from '#shared/store/feed-store.ts'
import { RefusedItems } from '#shared/store/storable.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { KEY, memory, recordedLog } from '../runner.fixture.ts'
import { encodeValue, recordKey } from '../state/record.ts'
import { RecordMap } from '../state/record-map.ts'
import type { SessionState } from '../state/session-state.ts'
import { APP_TYPE, INBOX_PREFIX } from '../state/app-records.ts'
import { Inbox } from './inbox.ts'
import { InboxDeliverer } from './inbox-deliverer.ts'

const PEER = '4917000000002@s.whatsapp.net'
const text = (words: string): Uint8Array => encodeWAMessage({ conversation: words })
/** A text in which a stranger put half of a surrogate pair, in three bytes that are no UTF-8. */
const withLoneSurrogate = (): Uint8Array => text('x\ud83dy')

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
  let [delivered, emptied] = [0, 0]
  const aside: { item: FeedItem; why: string }[] = []
  const deliverer = new InboxDeliverer({
    key: KEY,
    inbox,
    creds: () => undefined,
    dropped: () => undefined,
    store: faulty(counted, script),
    clock,
    log,
    delivered: (count) => (delivered += count),
    emptied: () => emptied++,
    setAside: (item, why) => aside.push({ item, why }),
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
  return {
    clock,
    feed,
    deliverer,
    receive,
    texts,
    added,
    lines,
    records,
    script,
    aside,
    count: () => delivered,
    emptied: () => emptied,
  }
}

const away = { kind: 'fail_before', error: new CodedError('store_unavailable', 'scripted') } as const

describe('the inbox is delivered', () => {
  test('past texts that no store can keep: they are kept as far as they can be, marked, in their order', async () => {
    const { clock, feed, deliverer, receive, texts, aside, lines } = begin()
    receive(text('one'))
    receive(text('ä'.repeat(1 << 20)), 'TOO-LONG')
    receive(text('three'))
    receive(withLoneSurrogate(), 'HALF')
    receive(text('five'))
    deliverer.poke()
    await clock.settle()
    expect(await texts()).toEqual(['one', 'ä'.repeat(450_000), 'three', 'x\ufffdy', 'five'])
    const { items } = await feed.list(KEY, { limit: 9 })
    expect(items.map(({ altered }) => altered)).toEqual([
      undefined,
      ['cut'],
      undefined,
      ['characters'],
      undefined,
    ])
    expect([aside, lines]).toEqual([[], []])
    await deliverer.close()
  })

  test('past one that is refused whatever is done to it: set aside, told of once, the others in order', async () => {
    const { clock, feed, deliverer, receive, aside } = begin()
    const add = feed.add.bind(feed)
    let away = 2
    feed.add = async (key, items, nowMs) => {
      const bad = items.findIndex(({ text: words, kind }) => words === 'POISON' || kind === 'imageMessage')
      if (bad >= 0) throw new RefusedItems('add to a feed: no reason that we know of', [bad])
      if (away-- > 0) throw new CodedError('store_unavailable', 'scripted')
      return add(key, items, nowMs)
    }
    for (const words of ['one', 'POISON', 'three']) receive(text(words))
    receive(encodeWAMessage(proto.Message.fromObject({ imageMessage: { mimetype: 'image/png' } })))
    receive(text('five'))
    deliverer.poke()
    await clock.advance(10_000)
    const { items } = await feed.list(KEY, { limit: 9 })
    expect(items.map(({ id, kind, text: words }) => [id, words ?? kind])).toEqual([
      ['M0', 'one'],
      ['M1', 'unstorable'],
      ['M2', 'three'],
      ['M3', 'unstorable'],
      ['M4', 'five'],
    ])
    expect(aside.map(({ item, why }) => [item.id, why])).toEqual([
      ['M1', 'add to a feed: no reason that we know of'],
      ['M3', 'add to a feed: no reason that we know of'],
    ])
    await deliverer.close()
  })

  test('past one that the store means without saying which, and takes in no form', async () => {
    const { clock, feed, deliverer, receive, texts, aside, count, records } = begin()
    const add = feed.add.bind(feed)
    feed.add = async (key, items, nowMs) => {
      if (items.some(({ id }) => id === 'M5')) throw new CodedError('store_refused', 'something of it')
      return add(key, items, nowMs)
    }
    for (let at = 0; at < 9; at++) receive(text(`${at}`))
    deliverer.poke()
    await clock.settle()
    expect(await texts()).toEqual(['0', '1', '2', '3', '4', '6', '7', '8'])
    expect(aside.map(({ item }) => item.id)).toEqual(['M5'])
    expect([count(), new Inbox(recordsState(records)).hasWaiting]).toEqual([9, false])
    await deliverer.close()
  })

  test('says since when messages wait without any being delivered, and when nothing waits any more', async () => {
    const { clock, deliverer, receive, script, emptied } = begin({ add: away })
    expect(deliverer.waitingSinceMs).toBeUndefined()
    receive(text('one'))
    deliverer.poke()
    const sinceMs = clock.monotonicMs()
    await clock.advance(61_000)
    receive(text('two'))
    deliverer.poke()
    expect([deliverer.waitingSinceMs, emptied()]).toEqual([sinceMs, 0])
    delete script.add
    await clock.advance(10_000)
    expect([deliverer.waitingSinceMs, emptied()]).toEqual([undefined, 1])
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
    expect([...records.entries(INBOX_PREFIX)]).toHaveLength(1)
  })
})
