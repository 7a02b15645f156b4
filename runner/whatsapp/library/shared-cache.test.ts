import { expect, test } from 'vitest'
import { eventually } from '#test/contract/eventually.ts'
import { allSources } from './library.fixture.ts'
import { cachesOf, SharedCache } from './shared-cache.ts'

const HOUR_MS = 3_600_000

test('each session sees its own part', () => {
  const cache = new SharedCache({ max: 10, ttlMs: HOUR_MS })
  const [a, b] = [cache.of('t~a'), cache.of('t~b')]
  void a.set('peer', ['0'])
  void b.set('peer', ['1'])
  expect([a.get('peer'), b.get('peer')]).toEqual([['0'], ['1']])
  void a.del('peer')
  expect([a.get('peer'), b.get('peer')]).toEqual([undefined, ['1']])
})

test('flushing takes one session’s part and no other, also of a name that begins alike', () => {
  const cache = new SharedCache({ max: 10, ttlMs: HOUR_MS })
  const [a, ab] = [cache.of('t~a'), cache.of('t~ab')]
  void a.set('x', 1)
  void ab.set('x', 2)
  void a.flushAll()
  expect([a.get('x'), ab.get('x')]).toEqual([undefined, 2])
})

test('entries survive a reconnect', () => {
  const cache = new SharedCache({ max: 10, ttlMs: HOUR_MS })
  void cache.of('t~a').set('retries', 3)
  expect(cache.of('t~a').get('retries')).toBe(3)
})

test('its size is bounded for all sessions together, and the oldest goes first', () => {
  const cache = new SharedCache({ max: 3, ttlMs: HOUR_MS })
  for (let number = 0; number < 4; number++) void cache.of(`t~${number}`).set('x', number)
  expect([0, 1, 2, 3].map((number) => cache.of(`t~${number}`).get('x'))).toEqual([undefined, 1, 2, 3])
})

test('every cache that rc14 can be given is given', () => {
  const caches = allSources().flatMap((text) => [
    ...text.matchAll(/config\.(\w+Cache) \|\|\s+new NodeCache\(/g),
  ])
  expect(new Set(caches.map(([, option]) => option))).toEqual(new Set(Object.keys(cachesOf('t~a'))))
})

test('what is empty or nothing is remembered as that', () => {
  const part = new SharedCache({ max: 10, ttlMs: HOUR_MS }).of('t~a')
  for (const value of [0, '', false, null]) {
    void part.set('x', value)
    expect(part.get('x')).toBe(value)
  }
})

test('an entry is forgotten when its time is over', async () => {
  const part = new SharedCache({ max: 10, ttlMs: 200 }).of('t~a')
  void part.set('x', 1)
  expect(part.get('x')).toBe(1)
  await eventually('it is forgotten', () => part.get('x') === undefined)
})
