import { expect } from 'vitest'
import { OUTBOX_STATES } from '#shared/store/outbox-message.ts'
import { OUTBOX_MOVES, type OutboxMove } from '#shared/store/outbox-moves.ts'
import type { Stores } from '#shared/store/stores.ts'
import { eventually } from './eventually.ts'
import { contract, race, type ContractOptions, type Make } from './promises.ts'
import { AT, keyOf, message, tenant } from './samples.ts'

const KEY = keyOf('t', 's')
const ID = message(1).id

const taken = (epoch: number, more: Partial<OutboxMove> = {}): OutboxMove => ({
  to: 'taken',
  epoch,
  nowMs: AT + 9,
  ...more,
})
const sent = (epoch: number): OutboxMove => ({ to: 'sent', epoch, nowMs: AT + 10 })
const withdrawn: OutboxMove = { to: 'withdrawn', nowMs: AT + 9 }

/** Through every move on the way, as its owner makes them. */
async function send({ outbox }: Stores, number: number): Promise<void> {
  await outbox.move(KEY, message(number).id, taken(1))
  await outbox.move(KEY, message(number).id, sent(1))
}

/** The promises of `OutboxStore`. */
export function outboxStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('OutboxStore', make, options, (promise) => {
    promise(
      'keeps a message that was acknowledged when the client closes at once',
      async ({ stores, reopen }) => {
        expect(await stores.outbox.enqueue(KEY, message(1))).toEqual(message(1))
        await stores.close()
        expect(await (await reopen()).outbox.get(KEY, ID)).toEqual(message(1))
      },
    )

    promise('answers what is stored when an id comes again', async ({ stores, reopen }) => {
      await stores.outbox.enqueue(KEY, message(1))
      await send(stores, 1)
      const stored = await stores.outbox.get(KEY, ID)
      expect(stored).toMatchObject({ state: 'sent', request: message(1).request })
      expect(await (await reopen()).outbox.enqueue(KEY, message(1, { to: 'x@lid' }))).toEqual(stored)
      expect(await stores.outbox.get(KEY, ID)).toEqual(stored)
    })

    promise('keeps the same id of two sessions apart', async ({ stores }) => {
      await stores.outbox.enqueue(KEY, message(1))
      await stores.outbox.enqueue(keyOf('t', 's2'), message(1, { to: 'x@lid' }))
      expect((await stores.outbox.get(KEY, ID))?.to).toBe(message(1).to)
      expect(await stores.outbox.get(keyOf('t', 's3'), ID)).toBeUndefined()
    })

    promise('lists newest first in pages, each message once', async ({ stores }) => {
      for (const number of [1, 2, 3, 4, 5]) await stores.outbox.enqueue(KEY, message(number))
      const first = await stores.outbox.list(KEY, { limit: 3 })
      const second = await stores.outbox.list(KEY, { limit: 3, after: first.next ?? 'none' })
      expect(first.items).toEqual([message(5), message(4), message(3)])
      expect(second.items).toEqual([message(2), message(1)])
      expect(second.next).toBeUndefined()
    })

    promise('lists what is to be sent in the order it was accepted, page after page', async ({ stores }) => {
      for (const number of [1, 2, 3, 4, 5, 6]) await stores.outbox.enqueue(KEY, message(number))
      await send(stores, 1)
      await stores.outbox.move(KEY, message(2).id, taken(1))
      await stores.outbox.move(KEY, message(4).id, { to: 'failed', epoch: 1, nowMs: AT })
      await stores.outbox.move(KEY, message(5).id, withdrawn)
      const pending = await stores.outbox.pending(KEY, { limit: 9 })
      expect(pending.map(({ id, state }) => [id, state])).toEqual([
        [message(2).id, 'taken'],
        [message(3).id, 'queued'],
        [message(6).id, 'queued'],
      ])
      const first = await stores.outbox.pending(KEY, { limit: 2 })
      const after = first.at(-1)?.place ?? ''
      expect(first.map(({ id }) => id)).toEqual([message(2).id, message(3).id])
      const rest = await stores.outbox.pending(KEY, { limit: 9, after })
      expect(rest.map(({ id }) => id)).toEqual([message(6).id])
      expect(rest.every(({ place }) => place > after)).toBe(true)
    })

    promise(
      'goes by its own order where the clock of who accepts was set back',
      async ({ stores, reopen }) => {
        const other = await reopen()
        await stores.outbox.enqueue(KEY, message(1, { acceptedAt: AT + 3_600_000 }))
        await other.outbox.enqueue(KEY, message(2, { acceptedAt: AT }))
        await stores.outbox.enqueue(KEY, message(3, { acceptedAt: AT + 1_800_000 }))
        const pending = await stores.outbox.pending(KEY, { limit: 9 })
        expect(pending.map(({ id }) => id)).toEqual([1, 2, 3].map((number) => message(number).id))
      },
    )

    promise(
      'F6: counts what waits of a tenant, and not of one with a similar name',
      async ({ stores, reopen }) => {
        const { outbox } = await reopen()
        expect(await outbox.waiting(tenant('t'))).toEqual({ messages: 0, bytes: 0 })
        await stores.outbox.enqueue(KEY, message(1, { request: new Uint8Array(1_000) }))
        await stores.outbox.enqueue(keyOf('t', 's2'), message(2))
        await stores.outbox.move(keyOf('t', 's2'), message(2).id, taken(1))
        for (const other of ['t1', 't-', 's', 'u'])
          await stores.outbox.enqueue(keyOf(other, 's'), message(1, { request: new Uint8Array(5_000) }))
        const found = await outbox.waiting(tenant('t'))
        expect(found.messages).toBe(2)
        expect(found.bytes).toBeGreaterThan(1_000)
        expect(found.bytes).toBeLessThan(3_000)
        await send(stores, 1)
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

    promise('case 21: allows the moves of the table and no others', async ({ stores }) => {
      let number = 0
      for (const from of OUTBOX_STATES)
        for (const to of OUTBOX_STATES)
          for (const by of ['owner', 'api'] as const) {
            const { id } = message(++number)
            await stores.outbox.enqueue(KEY, message(number, { state: from }))
            const move = { to, nowMs: AT + 99_999, ...(by === 'owner' && { epoch: 1 }) }
            const answer = await stores.outbox.move(KEY, id, move).then(
              () => 'allowed',
              (error: { code?: string }) => error.code,
            )
            const row = OUTBOX_MOVES.find((one) => one.from === from && one.to === to && one.by === by)
            expect([from, to, by, answer]).toEqual([
              from,
              to,
              by,
              row || from === to ? 'allowed' : 'state_changed',
            ])
            expect((await stores.outbox.get(KEY, id))?.state).toBe(row ? to : from)
          }
    })

    promise('keeps what a message was taken with, and why it failed', async ({ stores, reopen }) => {
      await stores.outbox.enqueue(KEY, message(1))
      const more = { chat: 'c1', account: 'me@lid', prepared: Uint8Array.of(1, 0, 255) }
      const whole = { ...message(1), ...more, state: 'taken', epoch: 3, updatedAt: AT + 9 }
      expect(await stores.outbox.move(KEY, ID, taken(3, more))).toEqual(whole)
      expect(await (await reopen()).outbox.get(KEY, ID)).toEqual(whole)
      const error = { why: 'refused', code: 479 }
      await stores.outbox.move(KEY, ID, { to: 'failed', epoch: 3, error, nowMs: AT + 20 })
      expect(await (await reopen()).outbox.get(KEY, ID)).toEqual({
        ...whole,
        state: 'failed',
        error,
        updatedAt: AT + 20,
      })
    })

    promise('binds a message to the first account, and never to another', async ({ stores }) => {
      await stores.outbox.enqueue(KEY, message(1))
      const bind = (account: string) =>
        stores.outbox.move(KEY, ID, { to: 'queued', epoch: 1, account, nowMs: AT + 9 })
      expect(await bind('first@lid')).toMatchObject({ state: 'queued', account: 'first@lid' })
      expect(await bind('second@lid')).toMatchObject({ state: 'queued', account: 'first@lid' })
      expect(await stores.outbox.move(KEY, ID, taken(1, { account: 'second@lid' }))).toMatchObject({
        account: 'first@lid',
      })
    })

    promise('B5 what is prepared stays what the first owner prepared', async ({ stores, reopen }) => {
      await stores.outbox.enqueue(KEY, message(1))
      const [first, second] = [Uint8Array.of(1), Uint8Array.of(2)]
      await stores.outbox.move(KEY, ID, taken(1, { prepared: first, chat: 'c1' }))
      const next = await reopen()
      const again = await next.outbox.move(KEY, ID, taken(2, { prepared: second, chat: 'c2' }))
      expect(again).toMatchObject({ state: 'taken', prepared: first, chat: 'c1', epoch: 2 })
    })

    promise('E7 fences the moves of an owner after the next one took it', async ({ stores, reopen }) => {
      const next = await reopen()
      await stores.outbox.enqueue(KEY, message(1))
      await next.outbox.move(KEY, ID, taken(2, { prepared: Uint8Array.of(2) }))
      const late: OutboxMove[] = [
        taken(1, { prepared: Uint8Array.of(1) }),
        sent(1),
        { to: 'failed', epoch: 1, nowMs: AT },
      ]
      for (const move of late)
        await expect(stores.outbox.move(KEY, ID, move)).rejects.toMatchObject({ code: 'fenced' })
      expect(await stores.outbox.get(KEY, ID)).toMatchObject({
        state: 'taken',
        epoch: 2,
        prepared: Uint8Array.of(2),
      })
    })

    promise(
      'of two owners who take one at once the higher epoch has it, whoever is first',
      async ({ stores, reopen }) => {
        const other = await reopen()
        for (const number of [1, 2, 3, 4, 5]) {
          const { id } = message(number)
          await stores.outbox.enqueue(KEY, message(number))
          // Both have seen it, so that neither needs to read first.
          await Promise.all([stores, other].map(({ outbox }) => outbox.pending(KEY, { limit: 9 })))
          const takes = [
            stores.outbox.move(KEY, id, taken(1, { prepared: Uint8Array.of(1) })),
            other.outbox.move(KEY, id, taken(2, { prepared: Uint8Array.of(2) })),
          ]
          const { won, codes } = await race(number % 2 ? takes : takes.toReversed())
          const found = await stores.outbox.get(KEY, id)
          expect([found?.state, found?.epoch]).toEqual(['taken', 2])
          // The first one came through, and the second goes on with its message; or came too late.
          expect([won, codes]).toEqual(found?.prepared?.[0] === 1 ? [2, []] : [1, ['fenced']])
        }
      },
    )

    promise('of a withdrawal and a taking at once exactly one comes through', async ({ stores, reopen }) => {
      const other = await reopen()
      for (const number of [1, 2, 3, 4, 5]) {
        const { id } = message(number)
        await stores.outbox.enqueue(KEY, message(number))
        await stores.outbox.pending(KEY, { limit: 9 })
        const both = [stores.outbox.move(KEY, id, taken(1)), other.outbox.move(KEY, id, withdrawn)]
        expect(await race(number % 2 ? both : both.toReversed())).toEqual({
          won: 1,
          codes: ['state_changed'],
        })
        expect(['taken', 'withdrawn']).toContain((await stores.outbox.get(KEY, id))?.state)
      }
    })

    promise(
      'takes a move whose answer was lost again, and nothing changes by it',
      async ({ stores, reopen }) => {
        const other = await reopen()
        await stores.outbox.enqueue(KEY, message(1))
        for (const move of [taken(1, { prepared: Uint8Array.of(1) }), sent(1)]) {
          const answer = await stores.outbox.move(KEY, ID, move)
          expect(await other.outbox.move(KEY, ID, { ...move, nowMs: AT + 999_999 })).toEqual(answer)
          expect(await stores.outbox.get(KEY, ID)).toEqual(answer)
        }
      },
    )

    promise('moves a message that is gone without harm', async ({ stores }) => {
      expect(await stores.outbox.move(KEY, 'gone', sent(1))).toBeUndefined()
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
      const heard: [string, string | undefined][] = []
      const watch = (await reopen()).outbox.watch((key, found) => heard.push([key, found?.id]))
      await stores.outbox.enqueue(KEY, message(1))
      await eventually('the message is heard', () => heard.some(([key]) => key === KEY))
      expect([undefined, ID]).toContain(heard.find(([key]) => key === KEY)?.[1])
      await watch.close()
    })
  })
}
