import { expect } from 'vitest'
import type { OutboxState } from '#shared/store/outbox-store.ts'
import { eventually } from './eventually.ts'
import { contract, type ContractOptions, type Make } from './promises.ts'
import { AT, keyOf, message, tenant } from './samples.ts'

const KEY = keyOf('t', 's')

/** From, to, and whether the message moves. */
const MOVES: readonly [OutboxState, OutboxState, boolean][] = [
  ['queued', 'sending', true],
  ['queued', 'sent', true],
  ['sending', 'queued', false],
  ['sending', 'sending', false],
  ['sent', 'delivered', true],
  ['sent', 'sending', false],
  ['delivered', 'read', true],
  ['read', 'delivered', false],
  ['queued', 'failed', true],
  ['sending', 'failed', true],
  ['sent', 'failed', true],
  ['delivered', 'failed', false],
  ['read', 'failed', false],
  ['failed', 'delivered', false],
  ['failed', 'failed', false],
]

/** The promises of `OutboxStore`. */
export function outboxStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('OutboxStore', make, options, (promise) => {
    promise(
      'keeps a message that was acknowledged when the client closes at once',
      async ({ stores, reopen }) => {
        expect(await stores.outbox.enqueue(KEY, message(1))).toEqual(message(1))
        await stores.close()
        expect(await (await reopen()).outbox.get(KEY, message(1).id)).toEqual(message(1))
      },
    )

    promise('answers what is stored when an id comes again', async ({ stores, reopen }) => {
      await stores.outbox.enqueue(KEY, message(1))
      await stores.outbox.advance(KEY, message(1).id, { state: 'sent', nowMs: AT + 9 })
      const stored = await stores.outbox.get(KEY, message(1).id)
      expect(await (await reopen()).outbox.enqueue(KEY, message(1, { text: 'other' }))).toEqual(stored)
      expect(await stores.outbox.get(KEY, message(1).id)).toEqual(stored)
    })

    promise('keeps the same id of two sessions apart', async ({ stores }) => {
      await stores.outbox.enqueue(KEY, message(1))
      await stores.outbox.enqueue(keyOf('t', 's2'), message(1, { text: 'other' }))
      expect((await stores.outbox.get(KEY, message(1).id))?.text).toBe('text 1')
      expect(await stores.outbox.get(keyOf('t', 's3'), message(1).id)).toBeUndefined()
    })

    promise('lists newest first in pages, each message once', async ({ stores }) => {
      for (const number of [1, 2, 3, 4, 5]) await stores.outbox.enqueue(KEY, message(number))
      const first = await stores.outbox.list(KEY, { limit: 3 })
      const second = await stores.outbox.list(KEY, { limit: 3, after: first.next ?? 'none' })
      expect(first.items.map(({ text }) => text)).toEqual(['text 5', 'text 4', 'text 3'])
      expect(second.items.map(({ text }) => text)).toEqual(['text 2', 'text 1'])
      expect(second.next).toBeUndefined()
    })

    promise('lists what is to be sent in the order it was accepted', async ({ stores }) => {
      for (const number of [1, 2, 3, 4, 5]) await stores.outbox.enqueue(KEY, message(number))
      await stores.outbox.advance(KEY, message(1).id, { state: 'sent', nowMs: AT })
      await stores.outbox.advance(KEY, message(2).id, { state: 'sending', nowMs: AT })
      await stores.outbox.advance(KEY, message(4).id, { state: 'failed', nowMs: AT })
      const pending = await stores.outbox.pending(KEY, 9)
      expect(pending.map(({ id }) => id)).toEqual([message(2).id, message(3).id, message(5).id])
      expect((await stores.outbox.pending(KEY, 2)).map(({ id }) => id)).toEqual([
        message(2).id,
        message(3).id,
      ])
    })

    promise(
      'F6: counts what waits of a tenant, and not of one with a similar name',
      async ({ stores, reopen }) => {
        const { outbox } = await reopen()
        expect(await outbox.waiting(tenant('t'))).toEqual({ messages: 0, bytes: 0 })
        await stores.outbox.enqueue(KEY, message(1, { text: 'x'.repeat(1000) }))
        await stores.outbox.enqueue(keyOf('t', 's2'), message(2, { state: 'sending' }))
        for (const other of ['t1', 't-', 's', 'u'])
          await stores.outbox.enqueue(keyOf(other, 's'), message(1, { text: 'x'.repeat(5000) }))
        const found = await outbox.waiting(tenant('t'))
        expect(found.messages).toBe(2)
        expect(found.bytes).toBeGreaterThan(1000)
        expect(found.bytes).toBeLessThan(3000)
        await stores.outbox.advance(KEY, message(1).id, { state: 'sent', nowMs: AT })
        expect(await outbox.waiting(tenant('t'))).toMatchObject({ messages: 1 })
      },
    )

    promise('refuses a cursor that none of its pages gave', async ({ stores }) => {
      for (const after of ['', 'x', '-1', '1e9', '../1'])
        await expect(stores.outbox.list(KEY, { limit: 2, after })).rejects.toMatchObject({
          code: 'invalid_field',
          field: 'after',
        })
    })

    promise('moves a message forward only', async ({ stores }) => {
      for (const [number, [from, to, moves]] of MOVES.entries()) {
        await stores.outbox.enqueue(KEY, message(number, { state: from }))
        await stores.outbox.advance(KEY, message(number).id, { state: to, nowMs: AT + 99 })
        const found = await stores.outbox.get(KEY, message(number).id)
        expect([from, to, found?.state]).toEqual([from, to, moves ? to : from])
        expect(found?.updatedAt).toBe(moves ? AT + 99 : AT + number)
      }
    })

    promise('keeps why a message failed', async ({ stores, reopen }) => {
      await stores.outbox.enqueue(KEY, message(1))
      const error = { why: 'refused', code: 479 }
      await stores.outbox.advance(KEY, message(1).id, { state: 'failed', error, nowMs: AT + 2 })
      const found = await (await reopen()).outbox.get(KEY, message(1).id)
      expect(found).toEqual({ ...message(1), state: 'failed', error, updatedAt: AT + 2 })
    })

    promise('lets no late receipt undo a later one, whoever is first', async ({ stores, reopen }) => {
      await stores.outbox.enqueue(KEY, message(1))
      const other = await reopen()
      const states = ['sent', 'read', 'delivered', 'sending'] as const
      await Promise.all(
        states.map((state, index) =>
          (index % 2 === 0 ? stores : other).outbox.advance(KEY, message(1).id, { state, nowMs: AT }),
        ),
      )
      expect((await stores.outbox.get(KEY, message(1).id))?.state).toBe('read')
    })

    promise('advances a message that is gone without harm', async ({ stores }) => {
      await stores.outbox.advance(KEY, 'gone', { state: 'sent', nowMs: AT })
      expect(await stores.outbox.get(KEY, 'gone')).toBeUndefined()
    })

    promise('removes what is older than a time, or all of a session', async ({ stores }) => {
      for (const number of [1, 2, 3]) await stores.outbox.enqueue(KEY, message(number))
      await stores.outbox.enqueue(keyOf('t', 's2'), message(9))
      expect(await stores.outbox.sweep({ olderThanMs: AT + 3 })).toBe(2)
      expect(await stores.outbox.sweep({ key: KEY })).toBe(1)
      expect(await stores.outbox.sweep({ key: KEY })).toBe(0)
      expect(await stores.outbox.get(keyOf('t', 's2'), message(9).id)).toEqual(message(9))
    })

    promise('tells the watch of another client of a new message', async ({ stores, reopen }) => {
      const heard: string[] = []
      const watch = (await reopen()).outbox.watch((key) => heard.push(key))
      await stores.outbox.enqueue(KEY, message(1))
      await eventually('the message is heard', () => heard.includes(KEY))
      await watch.close()
    })
  })
}
