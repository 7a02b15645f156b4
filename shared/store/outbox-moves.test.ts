import { expect, test } from 'vitest'
import { OUTBOX_STATES, readOutboxMessage, type OutboxMessage } from './outbox-message.ts'
import { moved, OUTBOX_MOVES } from './outbox-moves.ts'

const queued: OutboxMessage = {
  id: '3EB0',
  to: '4917000000001@s.whatsapp.net',
  state: 'queued',
  acceptedAt: 1,
  updatedAt: 1,
}

test('every state but queued is reached, and nothing leads out of an end', () => {
  expect(new Set(OUTBOX_MOVES.map(({ to }) => to))).toEqual(new Set(OUTBOX_STATES))
  for (const end of ['sent', 'failed', 'withdrawn'])
    expect(OUTBOX_MOVES.filter(({ from, to }) => from === end && to !== end)).toEqual([])
})

test('a repeat is the very object that was stored, so that nobody writes', () => {
  const taken = moved(queued, { to: 'taken', epoch: 1, chat: 'c', prepared: Uint8Array.of(1), nowMs: 2 })
  expect(moved(taken, { to: 'taken', epoch: 1, chat: 'd', prepared: Uint8Array.of(2), nowMs: 3 })).toBe(taken)
  const failed = moved(taken, { to: 'failed', epoch: 1, error: { why: 'refused', code: 463 }, nowMs: 4 })
  expect(moved(failed, { to: 'failed', epoch: 1, error: { why: 'expired' }, nowMs: 5 })).toBe(failed)
})

test('no late receipt undoes a later one', () => {
  let message: OutboxMessage = { ...queued, state: 'taken' }
  const seen = (['delivered', 'played', 'read', 'delivered'] as const).map((reached) => {
    message = moved(message, { to: 'sent', reached, epoch: 1, nowMs: 2 })
    return message.reached
  })
  expect([message.state, seen]).toEqual(['sent', ['delivered', 'played', 'played', 'played']])
})

test.for([
  ['queued', { state: 'queued' }],
  ['sending', { state: 'taken' }],
  ['sent', { state: 'sent' }],
  ['delivered', { state: 'sent', reached: 'delivered' }],
  ['read', { state: 'sent', reached: 'read' }],
  ['failed', { state: 'failed', error: { why: 'refused', code: 463 } }],
] as const)('a message that 341e3f4 left as %s is read on', ([state, now]) => {
  const left = {
    id: '3EB0',
    to: '4917000000001@s.whatsapp.net',
    text: 'in clear',
    state,
    createdAt: 7,
    updatedAt: 8,
    ...(state === 'failed' && { error: { why: 'refused', code: 463 } }),
  }
  expect(readOutboxMessage(left)).toEqual({
    id: '3EB0',
    to: '4917000000001@s.whatsapp.net',
    text: 'in clear',
    acceptedAt: 7,
    updatedAt: 8,
    ...now,
  })
})
