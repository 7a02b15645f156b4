import type { BinaryNode } from '@whiskeysockets/baileys'
import { expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { Arrivals } from './arrivals.ts'

const bytes = (): Uint8Array => new Uint8Array([1, 2, 3])
const enc = (type: string, content: Uint8Array = bytes()): BinaryNode => ({
  tag: 'enc',
  attrs: { type, v: '2' },
  content,
})
const message = (content: BinaryNode[], attrs: Record<string, string> = {}): BinaryNode => ({
  tag: 'message',
  attrs: { id: 'M', from: 'a@s.whatsapp.net', ...attrs },
  content,
})

function begin() {
  const clock = fakeClock()
  const arrivals = new Arrivals(clock)
  /** A stanza with one ciphertext, which it answers. */
  const comes = (attrs: Record<string, string> = {}): Uint8Array => {
    const content = bytes()
    arrivals.came(message([enc('msg', content)], attrs))
    return content
  }
  return { clock, arrivals, comes }
}

test('nothing waits where nothing came', () => {
  expect(begin().arrivals.idleSinceMs).toBeUndefined()
})

test('a stanza waits from when it came until its decryption ended', async () => {
  const { clock, arrivals, comes } = begin()
  const content = comes()
  const cameMs = clock.monotonicMs()
  await clock.advance(10)
  expect(arrivals.idleSinceMs).toBe(cameMs)
  arrivals.tried(content)
  expect(arrivals.idleSinceMs).toBeUndefined()
})

test('a backlog that is worked on stands still only since its last step, however long it is', async () => {
  const { clock, arrivals, comes } = begin()
  const contents = [comes(), comes(), comes()]
  for (const content of contents.slice(0, 2)) {
    await clock.advance(1_000_000)
    arrivals.tried(content)
  }
  expect(arrivals.idleSinceMs).toBe(clock.monotonicMs())
})

test('what comes after a long silence waits from its own arrival', async () => {
  const { clock, arrivals, comes } = begin()
  arrivals.tried(comes())
  await clock.advance(1_000_000)
  comes()
  expect(arrivals.idleSinceMs).toBe(clock.monotonicMs())
})

test('one that was decrypted proves that those before it are done with', () => {
  const { arrivals, comes } = begin()
  comes()
  arrivals.tried(comes())
  expect(arrivals.idleSinceMs).toBeUndefined()
})

test('a stanza with several ciphertexts is done with at the first of them', () => {
  const { arrivals } = begin()
  const [key, text] = [bytes(), bytes()]
  arrivals.came(message([enc('pkmsg', key), enc('skmsg', text)]))
  arrivals.tried(key)
  expect(arrivals.idleSinceMs).toBeUndefined()
  arrivals.tried(text)
  expect(arrivals.idleSinceMs).toBeUndefined()
})

test('one that was given up before its decryption is done with, and so is nothing where nothing waits', () => {
  const { arrivals, comes } = begin()
  arrivals.givenUp()
  comes()
  const second = comes()
  arrivals.givenUp()
  expect(arrivals.idleSinceMs).toBeDefined()
  arrivals.tried(second)
  expect(arrivals.idleSinceMs).toBeUndefined()
})

test.for<[what: string, BinaryNode]>([
  ['without a ciphertext', message([{ tag: 'unavailable', attrs: { type: 'view_once' } }])],
  ['in plain', message([{ tag: 'plaintext', attrs: {}, content: bytes() }])],
  ['to a bot', message([enc('msmsg'), enc('msg')])],
  ['of an unknown kind', message([enc('frskmsg')])],
  ['without content', { tag: 'message', attrs: {} }],
])('a stanza %s never reaches decryption, and is not waited for', ([, stanza]) => {
  const { arrivals } = begin()
  arrivals.came(stanza)
  expect(arrivals.idleSinceMs).toBeUndefined()
})

test('a message of the protocol itself is in work until the next is decrypted', async () => {
  const { clock, arrivals, comes } = begin()
  arrivals.tried(comes({ category: 'peer' }))
  const sinceMs = clock.monotonicMs()
  await clock.advance(5)
  comes()
  expect(arrivals.peerSinceMs).toBe(sinceMs)
  arrivals.tried(comes())
  expect(arrivals.peerSinceMs).toBeUndefined()
})
