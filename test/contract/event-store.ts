import { expect } from 'vitest'
import { contract, type ContractOptions, type Make } from './promises.ts'
import { AT, auditEvent, keyOf, tenant } from './samples.ts'

const KEY = keyOf('t', 's')
const FULL = auditEvent(1, {
  from: 'pending',
  to: 'connected',
  why: 'open',
  code: 515,
  epoch: 3,
  detail: { n: 1, ok: true },
})

/** The promises of `EventStore`. */
export function eventStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('EventStore', make, options, (promise) => {
    promise(
      'keeps an event that was acknowledged when the client closes at once',
      async ({ stores, reopen }) => {
        await stores.events.append(KEY, FULL)
        await stores.close()
        expect(await (await reopen()).events.list(KEY, { limit: 9 })).toEqual({ items: [FULL] })
      },
    )

    promise('refuses a cursor that none of its pages gave', async ({ stores }) => {
      for (const after of ['', 'x', '-1', '1e9', '../1'])
        await expect(stores.events.list(KEY, { limit: 2, after })).rejects.toMatchObject({
          code: 'invalid_field',
          field: 'after',
        })
    })

    promise('takes an event with the same id again', async ({ stores }) => {
      await stores.events.append(KEY, FULL)
      await stores.events.append(KEY, FULL)
      expect((await stores.events.list(KEY, { limit: 9 })).items).toEqual([FULL])
    })

    promise('lists newest first in pages, each event once', async ({ stores }) => {
      for (const number of [2, 1, 5, 4, 3]) await stores.events.append(KEY, auditEvent(number))
      await stores.events.append(keyOf('t', 's2'), auditEvent(9))
      const first = await stores.events.list(KEY, { limit: 3 })
      const second = await stores.events.list(KEY, { limit: 3, after: first.next ?? 'none' })
      expect(first.items).toEqual([5, 4, 3].map((number) => auditEvent(number)))
      expect(second).toEqual({ items: [2, 1].map((number) => auditEvent(number)) })
    })

    promise('lists nothing for a session without events', async ({ stores }) => {
      expect(await stores.events.list(KEY, { limit: 9 })).toEqual({ items: [] })
    })

    promise('follows the events of a tenant, or of all, ascending', async ({ stores }) => {
      const [a, b, c] = [keyOf('t', 'a'), keyOf('u', 'b'), keyOf('t', 'c')]
      for (const [key, number] of [
        [c, 4],
        [a, 1],
        [b, 2],
        [a, 3],
      ] as const) {
        await stores.events.append(key, auditEvent(number))
      }
      const all = await stores.events.since({ afterId: '', limit: 9 })
      expect(all.map(({ key, id }) => [key, id])).toEqual([
        [a, auditEvent(1).id],
        [b, auditEvent(2).id],
        [a, auditEvent(3).id],
        [c, auditEvent(4).id],
      ])
      const later = await stores.events.since({ tenant: tenant('t'), afterId: auditEvent(1).id, limit: 1 })
      expect(later).toEqual([{ ...auditEvent(3), key: a }])
      expect(await stores.events.since({ tenant: tenant('none'), afterId: '', limit: 9 })).toEqual([])
    })

    promise('removes what is older than a time and answers how many', async ({ stores }) => {
      for (const number of [1, 2, 3]) await stores.events.append(KEY, auditEvent(number))
      expect(await stores.events.sweep({ olderThanMs: AT + 3 })).toBe(2)
      expect(await stores.events.sweep({ olderThanMs: AT + 3 })).toBe(0)
      expect((await stores.events.list(KEY, { limit: 9 })).items).toEqual([auditEvent(3)])
    })

    promise('removes all of one session, however many, and leaves the others', async ({ stores }) => {
      const numbers = Array.from({ length: 620 }, (_, index) => index)
      await Promise.all(numbers.map((number) => stores.events.append(KEY, auditEvent(number))))
      await stores.events.append(keyOf('t', 's2'), auditEvent(1))
      expect(await stores.events.sweep({ key: KEY })).toBe(620)
      expect((await stores.events.list(KEY, { limit: 9 })).items).toEqual([])
      expect((await stores.events.list(keyOf('t', 's2'), { limit: 9 })).items).toHaveLength(1)
    })
  })
}
