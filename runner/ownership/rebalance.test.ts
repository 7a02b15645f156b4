import { expect, test } from 'vitest'
import type { SessionKey } from '#shared/ids.ts'
import { preferredRunner } from './spread.ts'
import { nextToMove, type Movable } from './rebalance.ts'

const NOW = 100 * 60_000
const candidates = [
  { id: 'me', capacity: 10, held: 5 },
  { id: 'other', capacity: 10, held: 0 },
]
const keys = Array.from({ length: 50 }, (_, at) => `t~s${at}` as SessionKey)
const theirs = keys.filter((key) => preferredRunner(key, candidates)?.id === 'other')
const session = (key: SessionKey, more: Partial<Movable> = {}): Movable => ({
  key,
  connected: true,
  authenticatedAt: 1,
  lastActivityAt: NOW - 1,
  ...more,
})
const [first = keys[0] as SessionKey, second = keys[1] as SessionKey] = theirs

test('moves the quietest session that another runner should have', () => {
  const sessions = [session(first), session(second, { lastActivityAt: 5 })]
  expect(nextToMove(sessions, candidates, 'me', new Map(), NOW)).toBe(second)
})

test.for<[string, Partial<Movable>]>([
  ['is not connected', { connected: false }],
  ['was paired a minute ago', { authenticatedAt: NOW - 60_000 }],
  ['is not paired', { authenticatedAt: undefined }],
])('leaves a session in place that %s', ([, more]) => {
  expect(nextToMove([session(first, more)], candidates, 'me', new Map(), NOW)).toBeUndefined()
})

test('leaves sessions in place that are preferred here', () => {
  const mine = keys.filter((key) => !theirs.includes(key)).map((key) => session(key))
  expect(nextToMove(mine, candidates, 'me', new Map(), NOW)).toBeUndefined()
})

test('leaves a session in place that was moved lately, and one whose runner is full', () => {
  expect(nextToMove([session(first)], candidates, 'me', new Map([[first, NOW - 1000]]), NOW)).toBeUndefined()
  const full = candidates.map((candidate) => ({ ...candidate, held: 10 }))
  expect(nextToMove([session(first)], full, 'me', new Map(), NOW)).toBeUndefined()
})
