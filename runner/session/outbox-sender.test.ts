import { afterEach, describe, expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import type { OutboxStore } from '#shared/store/outbox-store.ts'
import type { Script } from '#test/contract/faulty.ts'
import { message } from '#test/contract/samples.ts'
import { socketOf } from '../runner.fixture.ts'
import { ACK_WITHIN_MS, allEnded, begin, first, TRY_AGAIN_MS } from './outbox-sender.fixture.ts'

const TRIES_MAX = 5
/** Read from the store at once. */
const BATCH = 50

afterEach(allEnded)

describe('an outbox', () => {
  test('is sent in order, each message under the id it was accepted with', async () => {
    const { clock, sender, ids, wire, connection, stateOf } = await begin(20)
    sender.opened(connection())
    await clock.settle()
    expect(wire).toEqual(ids)
    expect(new Set(await Promise.all(ids.map(stateOf)))).toEqual(new Set(['sending']))
    await sender.closed()
  })

  test('B5 what was on the wire when the connection ended is sent again on the next, in order', async () => {
    const { clock, sender, ids, wire, connection } = await begin(3)
    sender.opened(connection())
    await clock.settle()
    await sender.closed()
    sender.acknowledged(ids[0] as string, undefined)
    sender.opened(connection())
    await clock.settle()
    expect(wire.slice(3)).toEqual(ids.slice(1))
    await sender.closed()
  })

  test('what was tried before is marked so, since nobody knows whether the server has it', async () => {
    const { clock, sender, make, ids } = await begin(2)
    const tries: (readonly [id: string, again: boolean | undefined])[] = []
    const noting = socketOf({ send: async ({ id, again }) => void tries.push([id, again]) })
    sender.opened(noting)
    await clock.settle()
    await sender.closed()
    const next = make()
    next.opened(noting)
    await clock.settle()
    await next.closed()
    expect(tries).toEqual([...ids.map((id) => [id, false]), ...ids.map((id) => [id, true])])
  })

  test('another process goes on where this one was killed, under the same ids', async () => {
    const { clock, sender, make, ids, wire, connection, stateOf } = await begin(2)
    sender.opened(connection())
    await clock.settle()
    await sender.closed()
    const next = make()
    next.opened(connection())
    await clock.settle()
    expect(wire).toEqual([...ids, ...ids])
    next.acknowledged(ids[1] as string, undefined)
    await clock.settle()
    expect(await stateOf(ids[1] as string)).toBe('sent')
    await next.closed()
  })

  test('E2 a message that can’t be put on the wire is given up after some tries, and holds up no other', async () => {
    const world = await begin(2)
    const { clock, key, outbox, sender, ids, wire, connection } = world
    const poison = first(world)
    let tries = 0
    sender.opened(
      connection((id) => {
        if (id !== poison) return
        tries++
        throw new Error('no such number')
      }),
    )
    await clock.settle()
    expect(wire).toEqual([ids[1]])
    sender.acknowledged(ids[1] as string, undefined)
    await clock.advance(10 * TRY_AGAIN_MS)
    expect(tries).toBe(TRIES_MAX)
    expect(await outbox.get(key, poison)).toMatchObject({ state: 'failed', error: { why: 'not_sendable' } })
    await sender.closed()
  })

  test('sends that fail because the connection goes away say nothing about the message', async () => {
    const world = await begin(1)
    const { clock, sender, connection, stateOf } = world
    for (let time = 0; time < 2 * TRIES_MAX; time++) {
      const closing = Promise.withResolvers<void>()
      sender.opened(connection(() => closing.promise))
      await clock.settle()
      const closed = sender.closed()
      closing.reject(new Error('Connection Closed'))
      await closed
    }
    expect(await stateOf(first(world))).toBe('sending')
  })

  test('E7 nothing is sent after it was closed, and close waits for the message in work', async () => {
    const { clock, sender, wire, ids, connection } = await begin(3)
    const sending = Promise.withResolvers<void>()
    sender.opened(connection(() => sending.promise))
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
    sender.opened(connection(() => hangs.promise))
    await clock.settle()
    let closed = false
    void sender.closed().then(() => (closed = true))
    await clock.advance(2_000)
    expect(closed).toBe(true)
    hangs.resolve()
    await clock.settle()
  })

  test('a store that is away delays it', async () => {
    const script: Script<OutboxStore> = {
      pending: { kind: 'fail_before', error: new CodedError('store_unavailable', 'scripted') },
    }
    const { clock, sender, wire, ids, connection } = await begin(2, script)
    sender.opened(connection())
    await clock.advance(10_000)
    expect(wire).toEqual([])
    delete script.pending
    await clock.advance(TRY_AGAIN_MS)
    expect(wire).toEqual(ids)
    await sender.closed()
  })

  test('a message of which the store can never note that it was taken is passed over, and told of once', async () => {
    const refused = { kind: 'fail_before', error: new CodedError('store_refused', 'scripted') } as const
    const { clock, sender, wire, ids, aside, connection, stateOf } = await begin(3, { advance: [refused] })
    sender.opened(connection())
    await clock.settle()
    expect(wire).toEqual(ids.slice(1))
    expect([aside, await stateOf(ids[0] ?? '')]).toEqual([[ids[0]], 'failed'])
    for (const id of ids.slice(1)) sender.acknowledged(id, undefined)
    await clock.advance(10 * ACK_WITHIN_MS)
    expect(wire).toEqual(ids.slice(1))
    await sender.closed()
  })

  test('a message of which the store can never note what became of it is not sent for ever', async () => {
    const refused = { kind: 'fail_before', error: new CodedError('store_refused', 'scripted') } as const
    const { clock, sender, wire, ids, aside, connection, script } = await begin(2)
    sender.opened(connection())
    await clock.settle()
    script.advance = [refused]
    for (const id of ids) sender.acknowledged(id, undefined)
    await clock.settle()
    sender.poke()
    await clock.advance(10 * ACK_WITHIN_MS)
    expect([wire, aside]).toEqual([ids, [ids[0]]])
    await sender.closed()
  })

  test('says since when messages wait without any leaving, while it is connected', async () => {
    const { clock, sender, ids, connection, script } = await begin(2)
    expect(sender.waitingSinceMs).toBeUndefined()
    sender.opened(connection())
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
    script.pending = { kind: 'fail_before', error: new CodedError('store_unavailable', 'scripted') }
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

  test('sends what is accepted while it sends', async () => {
    const { clock, key, outbox, sender, wire, connection } = await begin(1)
    const sending = Promise.withResolvers<void>()
    sender.opened(connection(() => sending.promise))
    await clock.settle()
    const late = await outbox.enqueue(key, message(9))
    sender.poke()
    sender.poke()
    sending.resolve()
    await clock.settle()
    expect(wire.at(-1)).toBe(late.id)
    expect(wire).toHaveLength(2)
    await sender.closed()
  })

  test('goes on with the next batch as acknowledgements come, and reads nothing in vain until then', async () => {
    const { clock, sender, ids, wire, connection, reads } = await begin(2 * BATCH + 1)
    sender.opened(connection())
    await clock.settle()
    expect(wire).toEqual(ids.slice(0, BATCH))
    expect(reads()).toBeLessThan(5)
    for (const id of ids.slice(0, BATCH)) sender.acknowledged(id, undefined)
    await clock.settle()
    expect(wire).toEqual(ids.slice(0, 2 * BATCH))
    for (const id of ids.slice(BATCH)) sender.acknowledged(id, undefined)
    await clock.settle()
    expect(wire).toEqual(ids)
    await sender.closed()
  })
})
