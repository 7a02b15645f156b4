import { afterEach, describe, expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import type { OutboxStore } from '#shared/store/outbox-store.ts'
import type { Script } from '#test/contract/faulty.ts'
import { socketOf } from '../runner.fixture.ts'
import {
  ACK_WITHIN_MS,
  allEnded,
  ANNA,
  begin,
  BERT,
  first,
  ME,
  OTHER,
  TRY_AGAIN_MS,
} from './sender.fixture.ts'

const WINDOW = 100
const away = { kind: 'fail_before', error: new CodedError('store_unavailable', 'scripted') } as const
const refused = { kind: 'fail_before', error: new CodedError('store_refused', 'scripted') } as const

afterEach(allEnded)

describe('an outbox', () => {
  test('is sent in order, each message under the id it was accepted with, taken before it leaves', async () => {
    const { clock, sender, ids, sends, connection, stateOf } = await begin(20)
    const left: (string | undefined)[] = []
    sender.opened(
      connection(async (id) => void left.push(await stateOf(id))),
      ME,
    )
    await clock.settle()
    expect(sends.map(({ id }) => id)).toEqual(ids)
    expect(sends.map(({ text }) => text.split(',')[0])).toEqual(ids.map((_, number) => `text ${number}`))
    expect(new Set(left)).toEqual(new Set(['taken']))
    await sender.closed()
  })

  test('B5 what was on the wire when the connection ended is sent again on the next, in order', async () => {
    const { clock, sender, ids, wire, connection } = await begin(3)
    sender.opened(connection(), ME)
    await clock.settle()
    await sender.closed()
    sender.acknowledged(ids[0] as string, undefined)
    sender.opened(connection(), ME)
    await clock.settle()
    expect(wire.slice(3)).toEqual(ids.slice(1))
    await sender.closed()
  })

  test('B5 the next owner sends what was taken first, under the same id, in the same form, marked as sent again', async () => {
    const { clock, sender, make, accept, ids, sends, connection, found } = await begin(2)
    sender.opened(connection(), ME)
    await clock.settle()
    await sender.closed()
    const newer = await accept(9)
    const next = make(2)
    next.opened(connection(), ME)
    await clock.settle()
    expect(sends.map(({ id, again }) => [id, again])).toEqual([
      ...ids.map((id) => [id, false]),
      ...ids.map((id) => [id, true]),
      [newer, false],
    ])
    expect(sends.slice(2, 4).map(({ text }) => text)).toEqual(sends.slice(0, 2).map(({ text }) => text))
    expect(await found(first({ ids } as never))).toMatchObject({ state: 'taken', epoch: 2 })
    next.acknowledged(ids[1] as string, undefined)
    await clock.settle()
    expect(await found(ids[1] as string)).toMatchObject({ state: 'sent' })
    await next.closed()
  })

  test('E7 an owner whose taking comes late sends nothing, and changes nothing', async () => {
    const script: Script<OutboxStore> = {}
    const world = await begin(1, script)
    const { clock, sender, make, sends, connection, found } = world
    const until = Promise.withResolvers<void>()
    script.move = [{ kind: 'delay', until: until.promise }]
    sender.opened(connection(), ME)
    await clock.settle()
    const next = make(2)
    next.opened(connection(), ME)
    await clock.settle()
    const stored = await found(first(world))
    until.resolve()
    await clock.settle()
    expect(sends).toHaveLength(1)
    expect(await found(first(world))).toEqual(stored)
    await Promise.all([sender.closed(), next.closed()])
  })

  test('case 20: is encrypted once although the store is slow to note what was acknowledged', async () => {
    const script: Script<OutboxStore> = {}
    const { clock, sender, accept, ids, wire, connection, stateOf } = await begin(30, script)
    sender.opened(
      connection((id) => void setImmediate(() => sender.acknowledged(id, undefined))),
      ME,
    )
    const slow = Promise.withResolvers<void>()
    await clock.settle()
    script.move = { kind: 'delay', until: slow.promise, when: 'after' }
    for (let number = 100; number < 110; number++) {
      ids.push(await accept(number))
      sender.poke()
      await clock.advance(ACK_WITHIN_MS)
    }
    slow.resolve()
    await clock.settle()
    expect(wire).toEqual(ids)
    expect(new Set(await Promise.all(ids.map(stateOf)))).toEqual(new Set(['sent']))
    await sender.closed()
  })

  test('case 20: what was acknowledged and is not stored yet is not sent again on the next connection', async () => {
    const script: Script<OutboxStore> = {}
    const { clock, sender, ids, wire, connection, stateOf } = await begin(2, script)
    sender.opened(connection(), ME)
    await clock.settle()
    script.move = away
    for (const id of ids) sender.acknowledged(id, undefined)
    const closed = sender.closed()
    await clock.advance(2_000)
    await closed
    sender.opened(connection(), ME)
    await clock.settle()
    delete script.move
    await clock.advance(1_000)
    expect(wire).toEqual(ids)
    expect(await Promise.all(ids.map(stateOf))).toEqual(['sent', 'sent'])
    await sender.closed()
  })

  test('case 21: goes on in its order after a failure, and other chats do not wait for it', async () => {
    const { clock, sender, accept, ids, wire, connection } = await begin(3)
    const toBert = await accept(7, { to: BERT })
    let failures = 1
    sender.opened(
      connection((id) => {
        if (id === ids[0] && failures-- > 0) throw new Error('it failed')
      }),
      ME,
    )
    await clock.settle()
    expect(wire).toEqual([toBert])
    await clock.advance(TRY_AGAIN_MS)
    expect(wire).toEqual([toBert, ...ids])
    await sender.closed()
  })

  test('E2 a message that can’t go waits until it expires, and holds up no other chat however many wait behind it', async () => {
    const { clock, sender, accept, wire, connection, found } = await begin(0)
    const poison = await accept(0, { expiresAt: clock.nowMs() + 3_600_000 })
    const behind: string[] = []
    for (let number = 1; number <= 3 * WINDOW; number++) behind.push(await accept(number))
    const toBert = await accept(1_000, { to: BERT })
    const taking = connection((id) => {
      if (id === poison) throw new Error('no such number')
      sender.acknowledged(id, undefined)
    })
    sender.opened(taking, ME)
    await clock.advance(10_000)
    expect(wire).toEqual([toBert])
    expect(await found(behind.at(-1) as string)).toMatchObject({ state: 'queued' })
    await clock.advance(3_600_000)
    expect(await found(poison)).toMatchObject({ state: 'failed', error: { why: 'expired' } })
    expect(wire).toEqual([toBert, ...behind])
    await sender.closed()
  })

  test('what has expired while nobody was connected is not sent', async () => {
    const { clock, sender, accept, ids, wire, connection, found } = await begin(1)
    const late = await accept(1, { expiresAt: clock.nowMs() + 1_000 })
    await clock.advance(1_000)
    sender.opened(connection(), ME)
    await clock.settle()
    expect(wire).toEqual(ids)
    expect(await found(late)).toMatchObject({ state: 'failed', error: { why: 'expired' } })
    await sender.closed()
  })

  test('case 5: what was accepted for another account fails, and what was accepted for none goes with the first', async () => {
    const { clock, sender, accept, ids, wire, connection, found } = await begin(1)
    sender.opened(connection(), OTHER)
    await clock.settle()
    expect(await found(ids[0] as string)).toMatchObject({
      state: 'failed',
      error: { why: 'account_changed' },
    })
    const stuck = connection(() => Promise.reject(new Error('not now')))
    await sender.closed()
    const unbound: string[] = []
    for (let number = 1; number < 4; number++) unbound.push(await accept(number, {}, ''))
    sender.opened(stuck, OTHER)
    await clock.settle()
    for (const id of unbound) expect(await found(id)).toMatchObject({ account: '900000000000002@lid' })
    await sender.closed()
    sender.opened(connection(), ME)
    await clock.settle()
    expect(wire).toEqual([])
    for (const id of unbound)
      expect(await found(id)).toMatchObject({ state: 'failed', error: { why: 'account_changed' } })
    await sender.closed()
  })

  test('what is withdrawn before its turn is not sent', async () => {
    const { clock, key, outbox, sender, ids, wire, connection, stateOf } = await begin(3)
    const failing = connection(() => Promise.reject(new Error('not now')))
    sender.opened(failing, ME)
    await clock.settle()
    await sender.closed()
    const last = ids[2] as string
    await expect(outbox.move(key, ids[0] as string, { to: 'withdrawn', nowMs: 1 })).rejects.toMatchObject({
      code: 'state_changed',
    })
    sender.opened(connection(), ME)
    await clock.settle()
    expect(wire).toEqual(ids)
    expect(await stateOf(last)).toBe('taken')
    await sender.closed()
  })

  test('sends that fail because the connection goes away say nothing about the message', async () => {
    const world = await begin(1)
    const { clock, sender, wire, connection } = world
    for (let time = 0; time < 10; time++) {
      const closing = Promise.withResolvers<void>()
      sender.opened(
        connection(() => closing.promise),
        ME,
      )
      await clock.settle()
      const closed = sender.closed()
      closing.reject(new Error('Connection Closed'))
      await closed
    }
    sender.opened(connection(), ME)
    await clock.settle()
    expect(wire).toEqual([first(world)])
    await sender.closed()
  })

  test('E7 nothing is sent after it was closed, and close waits for what is in work', async () => {
    const { clock, sender, wire, ids, connection } = await begin(3)
    const sending = Promise.withResolvers<void>()
    sender.opened(
      connection(() => sending.promise),
      ME,
    )
    await clock.settle()
    let closed = false
    const closing = sender.closed().then(() => (closed = true))
    await clock.settle()
    expect(closed).toBe(false)
    sending.resolve()
    await closing
    sender.poke()
    await clock.advance(10 * ACK_WITHIN_MS)
    expect(wire).toEqual(ids.slice(0, 1))
  })

  test('close does not wait for ever for a message that hangs', async () => {
    const { clock, sender, connection } = await begin(1)
    const hangs = Promise.withResolvers<void>()
    sender.opened(
      connection(() => hangs.promise),
      ME,
    )
    await clock.settle()
    let closed = false
    void sender.closed().then(() => (closed = true))
    await clock.advance(2_000)
    expect(closed).toBe(true)
    hangs.resolve()
    await clock.settle()
  })

  test('a store that is away delays it', async () => {
    const script: Script<OutboxStore> = { pending: away }
    const { clock, sender, wire, ids, connection } = await begin(2, script)
    sender.opened(connection(), ME)
    await clock.advance(10_000)
    expect(wire).toEqual([])
    delete script.pending
    script.move = away
    await clock.advance(10_000)
    expect(wire).toEqual([])
    delete script.move
    await clock.advance(8 * TRY_AGAIN_MS)
    expect(wire).toEqual(ids)
    await sender.closed()
  })

  test('a taking whose answer was lost is found taken, and sent in the form that was stored', async () => {
    const script: Script<OutboxStore> = { move: [{ kind: 'fail_after', error: away.error }] }
    const { clock, sender, sends, connection } = await begin(1, script)
    sender.opened(connection(), ME)
    await clock.advance(TRY_AGAIN_MS)
    expect(sends.map(({ text }) => text)).toEqual(['text 0, form 1'])
    await sender.closed()
  })

  test('a message of which the store can never note that it was taken is passed over, and told of once', async () => {
    const { clock, sender, wire, ids, aside, connection, stateOf } = await begin(3, { move: [refused] })
    sender.opened(connection(), ME)
    await clock.settle()
    expect(wire).toEqual(ids.slice(1))
    expect([aside, await stateOf(ids[0] ?? '')]).toEqual([[ids[0]], 'failed'])
    for (const id of ids.slice(1)) sender.acknowledged(id, undefined)
    await clock.advance(10 * ACK_WITHIN_MS)
    expect(wire).toEqual(ids.slice(1))
    await sender.closed()
  })

  test('a message of which the store can never note what became of it is not sent for ever', async () => {
    const { clock, sender, wire, ids, aside, connection, script } = await begin(2)
    sender.opened(connection(), ME)
    await clock.settle()
    script.move = [refused]
    for (const id of ids) sender.acknowledged(id, undefined)
    await clock.settle()
    sender.poke()
    await clock.advance(10 * ACK_WITHIN_MS)
    expect([wire, aside]).toEqual([ids, [ids[0]]])
    await sender.closed()
  })

  test('a request that can’t be opened any more has failed, and holds up nothing', async () => {
    const { clock, sender, accept, wire, connection, found } = await begin(0)
    const moved = await accept(1, { request: Uint8Array.of(1, 2, 3) })
    const good = await accept(2)
    sender.opened(connection(), ME)
    await clock.settle()
    expect(wire).toEqual([good])
    expect(await found(moved)).toMatchObject({ state: 'failed', error: { why: 'unreadable' } })
    await sender.closed()
  })

  test('what 341e3f4 accepted in clear, or left on the wire, is sent', async () => {
    const { clock, key, outbox, sender, sends, connection } = await begin(0)
    const old = { to: ANNA, acceptedAt: 1, updatedAt: 1 }
    await outbox.enqueue(key, { ...old, id: '3EB0A', text: 'old', state: 'taken' })
    await outbox.enqueue(key, { ...old, id: '3EB0B', text: 'newer', state: 'queued' })
    sender.opened(connection(), ME)
    await clock.settle()
    expect(sends).toEqual([
      { id: '3EB0A', text: 'old, form 1', again: true },
      { id: '3EB0B', text: 'newer, form 2', again: false },
    ])
    await sender.closed()
  })

  test('says since when messages wait without any leaving, while it is connected', async () => {
    const { clock, sender, ids, connection, script } = await begin(2)
    expect(sender.waitingSinceMs).toBeUndefined()
    sender.opened(connection(), ME)
    const openedMs = clock.monotonicMs()
    await clock.advance(3 * ACK_WITHIN_MS)
    // Sent again and again, and never acknowledged.
    expect(sender.waitingSinceMs).toBe(openedMs)
    sender.acknowledged(ids[0] ?? '', undefined)
    expect(sender.waitingSinceMs).toBe(clock.monotonicMs())
    sender.acknowledged(ids[1] ?? '', undefined)
    await clock.settle()
    expect(sender.waitingSinceMs).toBeUndefined()
    await clock.advance(1_000)
    script.pending = away
    sender.poke()
    const awayMs = clock.monotonicMs()
    await clock.advance(60_000)
    expect(sender.waitingSinceMs).toBe(awayMs)
    delete script.pending
    await clock.advance(TRY_AGAIN_MS)
    expect(sender.waitingSinceMs).toBeUndefined()
    await sender.closed()
    expect(sender.waitingSinceMs).toBeUndefined()
  })

  test('what became of a message is stored later where too many writes wait, and nothing is sent twice meanwhile', async () => {
    const world = await begin(1)
    const { clock, sender, connection, wire, stateOf, fill } = world
    sender.opened(connection(), ME)
    await clock.settle()
    fill(true)
    sender.acknowledged(first(world), undefined)
    await clock.advance(3 * ACK_WITHIN_MS)
    expect([wire, await stateOf(first(world))]).toEqual([[first(world)], 'taken'])
    fill(false)
    await clock.advance(TRY_AGAIN_MS)
    expect([wire, await stateOf(first(world))]).toEqual([[first(world)], 'sent'])
    expect(sender.waitingSinceMs).toBeUndefined()
    await sender.closed()
  })

  test('sends what is accepted while it sends', async () => {
    const { clock, accept, sender, wire, connection } = await begin(1)
    const sending = Promise.withResolvers<void>()
    sender.opened(
      connection(() => sending.promise),
      ME,
    )
    await clock.settle()
    const late = await accept(9)
    sender.poke()
    sender.poke()
    sending.resolve()
    await clock.settle()
    expect(wire.at(-1)).toBe(late)
    expect(wire).toHaveLength(2)
    await sender.closed()
  })

  test('takes a message that the watch brings without reading the store', async () => {
    const { clock, key, outbox, accept, sender, wire, connection, reads } = await begin(0)
    sender.opened(connection(), ME)
    await clock.settle()
    const before = reads()
    const id = await accept(1)
    for (const brought of await outbox.pending(key, { limit: 9 })) sender.poke(brought)
    await clock.settle()
    expect([wire, reads()]).toEqual([[id], before])
    await sender.closed()
  })

  test('goes on with what waits as acknowledgements come, and reads nothing in vain until then', async () => {
    const { clock, sender, ids, wire, connection, reads } = await begin(2 * WINDOW + 1)
    sender.opened(connection(), ME)
    await clock.settle()
    expect(wire).toEqual(ids.slice(0, WINDOW))
    expect(reads()).toBeLessThan(5)
    for (const id of ids.slice(0, WINDOW)) sender.acknowledged(id, undefined)
    await clock.settle()
    expect(wire).toEqual(ids.slice(0, 2 * WINDOW))
    for (const id of ids.slice(WINDOW)) sender.acknowledged(id, undefined)
    await clock.settle()
    expect(wire).toEqual(ids)
    await sender.closed()
  })

  test('a connection that does nothing is no reason to lose anything', async () => {
    const world = await begin(1)
    const { clock, sender, stateOf } = world
    sender.opened(socketOf({ prepare: () => Promise.reject(new Error('not prepared')) }), ME)
    await clock.settle()
    expect(await stateOf(first(world))).toBe('queued')
    await sender.closed()
  })

  test('F10: a number that nobody has fails with the reason, and holds up nothing', async () => {
    const { clock, sender, ids, accept, wire, connection, found } = await begin(1)
    const other = await accept(1, { to: BERT })
    const socket = connection()
    socket.resolve = async (to) => (to === ANNA ? 'not_on_whatsapp' : { jid: to })
    sender.opened(socket, ME)
    await clock.settle()
    expect(await found(ids[0] as string)).toMatchObject({
      state: 'failed',
      error: { why: 'not_on_whatsapp' },
    })
    expect(wire).toEqual([other])
    await sender.closed()
  })

  test('F10: a number that WhatsApp says nothing of is asked about again, and its message waits', async () => {
    const { clock, sender, ids, wire, connection, stateOf } = await begin(1)
    const socket = connection()
    const answers = [false, true]
    socket.resolve = async (to) => {
      if (!answers.shift()) throw new CodedError('no_answer', 'scripted')
      return { jid: to }
    }
    sender.opened(socket, ME)
    await clock.settle()
    expect([await stateOf(ids[0] as string), wire]).toEqual(['queued', []])
    await clock.advance(TRY_AGAIN_MS)
    await clock.settle()
    expect(wire).toEqual(ids)
    await sender.closed()
  })
})
