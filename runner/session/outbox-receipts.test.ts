import { afterEach, describe, expect, test } from 'vitest'
import { message } from '#test/contract/samples.ts'
import { ACK_WITHIN_MS, allEnded, anybody, begin, first, TRY_AGAIN_MS } from './outbox-sender.fixture.ts'

afterEach(allEnded)

describe('acknowledgements and receipts', () => {
  test('a message is sent when the server took it, and not before', async () => {
    const world = await begin(1)
    const { clock, sender, connection, stateOf } = world
    sender.opened(connection())
    await clock.advance(1_000)
    expect(await stateOf(first(world))).toBe('sending')
    sender.acknowledged(first(world), undefined)
    await clock.settle()
    expect(await stateOf(first(world))).toBe('sent')
    sender.receipt([first(world)], 'delivered', anybody)
    sender.receipt([first(world)], 'read', anybody)
    await clock.settle()
    expect(await stateOf(first(world))).toBe('read')
    await sender.closed()
  })

  test('a message that the server refuses has failed, with its code', async () => {
    const world = await begin(1)
    const { clock, key, outbox, sender, connection } = world
    sender.opened(connection())
    await clock.settle()
    sender.acknowledged(first(world), 463)
    await clock.settle()
    expect(await outbox.get(key, first(world))).toMatchObject({
      state: 'failed',
      error: { why: 'refused', code: 463 },
    })
    await sender.closed()
  })

  test('without an acknowledgement it is sent again under the same id', async () => {
    const world = await begin(1)
    const { clock, sender, wire, connection } = world
    sender.opened(connection())
    await clock.advance(ACK_WITHIN_MS - 1)
    expect(wire).toEqual([first(world)])
    await clock.advance(TRY_AGAIN_MS)
    expect(wire).toEqual([first(world), first(world)])
    sender.acknowledged(first(world), undefined)
    await clock.advance(2 * ACK_WITHIN_MS)
    expect(wire).toHaveLength(2)
    await sender.closed()
  })

  test('knows the text of a message before it is on the wire, and of one that was sent long ago', async () => {
    const world = await begin(1)
    const { clock, sender, outbox, key, connection } = world
    const known: (string | undefined)[] = []
    sender.opened(connection(async (id) => void known.push(await sender.sentText(id, anybody))))
    await clock.settle()
    await outbox.enqueue(key, message(7, { state: 'delivered' }))
    known.push(
      await sender.sentText(message(7).id, anybody),
      await sender.sentText('of another device', anybody),
    )
    expect(known).toEqual(['text 0', 'text 7', undefined])
    await sender.closed()
  })

  test('B5 a receipt counts although another process sent the message', async () => {
    const world = await begin(1)
    const { clock, key, outbox, sender, stateOf } = world
    await outbox.advance(key, first(world), { state: 'sent', nowMs: 1 })
    sender.receipt([first(world), 'a message of the phone'], 'delivered', anybody)
    await clock.settle()
    expect(await stateOf(first(world))).toBe('delivered')
  })

  test('receipts of messages that are not ours ask the store for nothing', async () => {
    const { clock, sender, connection, script } = await begin(0)
    sender.opened(connection())
    const unasked = [{ kind: 'none' } as const]
    script.advance = unasked
    sender.receipt(['of the phone'], 'delivered', anybody)
    sender.acknowledged('of the phone', undefined)
    await clock.settle()
    expect(unasked).toHaveLength(1)
    await sender.closed()
  })

  test('F5: a receipt counts only of whom the message went to, also when another process sent it', async () => {
    const world = await begin(2)
    const { clock, key, outbox, sender, connection, ids, stateOf, droppedKinds } = world
    const { to } = message(0)
    sender.opened(connection())
    await clock.settle()
    for (const id of ids) sender.acknowledged(id, undefined)
    await outbox.enqueue(key, message(7, { state: 'sent' }))
    await clock.settle()
    const all = [...ids, message(7).id]
    sender.receipt(all, 'read', (recipient) => recipient !== to)
    await clock.settle()
    expect(await Promise.all(all.map(stateOf))).toEqual(['sent', 'sent', 'sent'])
    expect(droppedKinds).toEqual(['receipt', 'receipt', 'receipt'])
    sender.receipt(all, 'read', (recipient) => recipient === to)
    await clock.settle()
    expect(await Promise.all(all.map(stateOf))).toEqual(['read', 'read', 'read'])
    await sender.closed()
  })

  test('F5: the text of a message is for nobody to whom it did not go, sent lately or long ago', async () => {
    const world = await begin(1)
    const { clock, key, outbox, sender, connection } = world
    sender.opened(connection())
    await clock.settle()
    await outbox.enqueue(key, message(7, { state: 'delivered' }))
    const other = (): boolean => false
    for (const id of [first(world), message(7).id]) {
      expect(await sender.sentText(id, other)).toBeUndefined()
      expect(await sender.sentText(id, anybody)).toBeDefined()
    }
    await sender.closed()
  })

  test('F3: the store is asked once for an id that nobody knows, and never for one that is not of our kind', async () => {
    const { clock, sender, asked } = await begin(0)
    for (let time = 0; time < 5; time++) {
      sender.receipt(['3EB0FFFFFF', 'ANOTHER'], 'read', anybody)
      await clock.settle()
      await sender.sentText('3EB0FFFFFF', anybody)
      await sender.sentText('ANOTHER', anybody)
    }
    expect(asked).toEqual(['3EB0FFFFFF'])
  })
})
