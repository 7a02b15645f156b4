import { proto } from '@whiskeysockets/baileys'
import { afterEach, describe, expect, test } from 'vitest'
import { sealPrepared } from '#shared/sealing/outbox-bodies.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { keyOf } from '../runner.fixture.ts'
import { Receipts } from './receipts.ts'
import {
  ACK_WITHIN_MS,
  allEnded,
  ANNA,
  anybody,
  begin,
  bodies,
  first,
  ME,
  TRY_AGAIN_MS,
} from './sender.fixture.ts'

const GATHERED_FOR_MS = 1_000

afterEach(allEnded)

describe('acknowledgements and receipts', () => {
  test('a message is sent when the server took it, and not before; what receipts say comes after that', async () => {
    const world = await begin(1)
    const { clock, sender, connection, found } = world
    sender.opened(connection(), ME)
    await clock.advance(1_000)
    expect(await found(first(world))).toMatchObject({ state: 'taken' })
    sender.acknowledged(first(world), undefined)
    await clock.settle()
    expect(await found(first(world))).toMatchObject({ state: 'sent' })
    for (const kind of ['delivered', 'read'] as const) {
      sender.receipt({ ids: [first(world)], kind, isFor: anybody })
      await clock.advance(GATHERED_FOR_MS)
      expect(await found(first(world))).toMatchObject({ state: 'sent', reached: kind })
    }
    await sender.closed()
  })

  test('receipts are gathered for a second, and what they say of a message is one write', async () => {
    const world = await begin(1)
    const { clock, sender, connection, found, script } = world
    sender.opened(connection(), ME)
    await clock.settle()
    sender.acknowledged(first(world), undefined)
    await clock.settle()
    const writes = Array.from({ length: 9 }, () => ({ kind: 'none' }) as const)
    script.move = writes
    for (const kind of ['delivered', 'read', 'delivered', 'read'] as const)
      sender.receipt({ ids: [first(world)], kind, isFor: anybody })
    await clock.advance(GATHERED_FOR_MS - 1)
    expect(await found(first(world))).not.toHaveProperty('reached')
    await clock.advance(1)
    expect(await found(first(world))).toMatchObject({ reached: 'read' })
    expect(writes).toHaveLength(8)
    await sender.closed()
  })

  test('what was gathered is told when the connection ends', async () => {
    const world = await begin(1)
    const { clock, sender, connection, found } = world
    sender.opened(connection(), ME)
    await clock.settle()
    sender.receipt({ ids: [first(world)], kind: 'read', isFor: anybody })
    await clock.settle()
    await sender.closed()
    await clock.settle()
    // A device has it, so the server took it, whatever became of the acknowledgement.
    expect(await found(first(world))).toMatchObject({ state: 'sent', reached: 'read' })
  })

  test('a message that the server refuses has failed, with its code', async () => {
    const world = await begin(1)
    const { clock, key, outbox, sender, connection } = world
    sender.opened(connection(), ME)
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
    sender.opened(connection(), ME)
    await clock.advance(ACK_WITHIN_MS - 1)
    expect(wire).toEqual([first(world)])
    await clock.advance(TRY_AGAIN_MS)
    expect(wire).toEqual([first(world), first(world)])
    sender.acknowledged(first(world), undefined)
    await clock.advance(2 * ACK_WITHIN_MS)
    expect(wire).toHaveLength(2)
    await sender.closed()
  })

  test('knows what was sent before it is on the wire, and what was sent long ago, also in clear', async () => {
    const world = await begin(1)
    const { clock, key, outbox, sender, make, connection } = world
    const known: (string | undefined)[] = []
    const ask = async (id: string): Promise<void> => {
      const bytes = await sender.sentMessage(id, anybody)
      known.push(bytes && Buffer.from(bytes).toString())
    }
    sender.opened(connection(ask), ME)
    await clock.settle()
    const old = { to: ANNA, acceptedAt: 1, updatedAt: 1, state: 'sent' } as const
    await outbox.enqueue(key, { ...old, id: '3EB0OLD', text: 'in clear' })
    await ask('of another device')
    expect(known).toEqual(['text 0, form 1', undefined])
    const bytes = await make().sentMessage('3EB0OLD', anybody)
    expect(proto.Message.decode(bytes ?? new Uint8Array()).conversation).toBe('in clear')
    await sender.closed()
  })

  test('opens what another process prepared', async () => {
    const { clock, key, outbox, accept, sender } = await begin(0)
    const id = await accept(1)
    const prepared = await sealPrepared(bodies, key, id, Buffer.from('prepared elsewhere'))
    await outbox.move(key, id, { to: 'taken', epoch: 1, prepared, chat: ANNA, nowMs: clock.nowMs() })
    expect(Buffer.from((await sender.sentMessage(id, anybody)) ?? []).toString()).toBe('prepared elsewhere')
  })

  test('B5 a receipt counts although another process sent the message', async () => {
    const { clock, key, outbox, accept, sender, found } = await begin(0)
    const id = await accept(1)
    const prepared = await sealPrepared(bodies, key, id, Buffer.from('prepared elsewhere'))
    await outbox.move(key, id, { to: 'taken', epoch: 1, prepared, nowMs: 1 })
    await outbox.move(key, id, { to: 'sent', epoch: 1, nowMs: 1 })
    sender.receipt({ ids: [id, 'a message of the phone'], kind: 'delivered', isFor: anybody })
    await clock.advance(GATHERED_FOR_MS)
    expect(await found(id)).toMatchObject({ state: 'sent', reached: 'delivered' })
  })

  test('receipts of messages that are not ours ask the store for nothing', async () => {
    const { clock, sender, connection, script } = await begin(0)
    sender.opened(connection(), ME)
    const unasked = [{ kind: 'none' } as const]
    script.move = unasked
    sender.receipt({ ids: ['of the phone'], kind: 'delivered', isFor: anybody })
    sender.acknowledged('of the phone', undefined)
    await clock.settle()
    expect(unasked).toHaveLength(1)
    await sender.closed()
  })

  test('case 23: a receipt counts, and a message is answered again, only for whom it went to', async () => {
    const { clock, sender, connection, ids, found, droppedKinds } = await begin(2)
    sender.opened(connection(), ME)
    await clock.settle()
    for (const id of ids) sender.acknowledged(id, undefined)
    await clock.settle()
    sender.receipt({ ids, kind: 'read', isFor: (to) => to !== ANNA })
    await clock.advance(GATHERED_FOR_MS)
    for (const id of ids) {
      expect(await found(id)).not.toHaveProperty('reached')
      expect(await sender.sentMessage(id, (to) => to !== ANNA)).toBeUndefined()
      expect(await sender.sentMessage(id, (to) => to === ANNA)).toBeDefined()
    }
    expect(droppedKinds).toEqual(['receipt', 'receipt'])
    sender.receipt({ ids, kind: 'read', isFor: (to) => to === ANNA })
    await clock.advance(GATHERED_FOR_MS)
    for (const id of ids) expect(await found(id)).toMatchObject({ reached: 'read' })
    await sender.closed()
  })

  test('F3: the store is asked once for an id that nobody knows, and never for one that is not of our kind', async () => {
    const { clock, sender, asked } = await begin(0)
    for (let time = 0; time < 5; time++) {
      sender.receipt({ ids: ['3EB0FFFFFF', 'ANOTHER'], kind: 'read', isFor: anybody })
      await clock.settle()
      await sender.sentMessage('3EB0FFFFFF', anybody)
      await sender.sentMessage('ANOTHER', anybody)
    }
    expect(asked).toEqual(['3EB0FFFFFF'])
  })
})

test('F3: a receipt for one more than may wait is counted and left out', () => {
  const asked: string[] = []
  const dropped: string[] = []
  const receipts = new Receipts({
    sent: { find: async (id) => void asked.push(id) },
    clock: fakeClock(),
    dropped: (what) => dropped.push(what),
    background: (work) => asked.length === 0 && (void work(), true),
    store: { move: async () => undefined },
    key: keyOf('shop'),
    epoch: () => 1,
    putAside: () => undefined,
  })
  receipts.came({ ids: ['3EB01', '3EB02'], kind: 'read', isFor: anybody })
  expect([asked, dropped]).toEqual([['3EB01'], ['waiting']])
})
