import { expect } from 'vitest'
import type { Stores } from '#shared/store/stores.ts'
import { RefusedItems } from '#shared/store/storable.ts'
import { contract, type ContractOptions, type Make } from './promises.ts'
import { AT, auditEvent, feedItem, job, keyOf, message, newSession, status, tenant } from './samples.ts'

const KEY = keyOf('t', 's')

/** What is wrong with a value for good: what a set of stores would refuse, mangle, or answer with an error that says nothing. */
const NEVER: readonly [what: string, value: string][] = [
  ['half a surrogate pair', 'x\ud83d'],
  ['the other half', '\udc00x'],
  ['more than a mebibyte', 'ä'.repeat((1 << 20) / 2 + 1)],
]

/** What looks odd and is kept all the same. */
const FINE = 'a\0b \u{1f600} \ufffd \uffff __x__'

/** Every write that carries what a tenant or a stranger wrote. */
const WRITES: readonly [
  name: string,
  field: string,
  write: (stores: Stores, text: string) => Promise<unknown>,
][] = [
  ['enqueue', 'message.text', ({ outbox }, text) => outbox.enqueue(KEY, message(1, { text }))],
  ['a feed', '', ({ feed }, text) => feed.add(KEY, [feedItem(1, { text })], AT)],
  ['an event', 'event.why', ({ events }, text) => events.append(KEY, auditEvent(1, { why: text }))],
  ['a job', 'job.args.label', ({ jobs }, text) => jobs.create(KEY, job(1, { args: { label: text } }))],
  [
    'a session',
    'want.metadata.note',
    ({ sessions }, text) =>
      sessions.create({ ...newSession('t', 's'), want: { state: 'running', metadata: { note: text } } }),
  ],
  [
    'a tenant',
    '',
    ({ tenants }, text) =>
      tenants.create({ id: tenant('t'), name: text, limits: { sessions: 1 }, createdAt: AT }),
  ],
]

/** Refused for good is told apart from "not now", by every set and in every kind of answer. */
export function refusalContract(make: Make, options: ContractOptions = {}): void {
  contract('What is refused for good', make, options, (promise) => {
    promise(
      'is store_refused in every write that carries a text, and nothing is written',
      async ({ stores }) => {
        for (const [name, , write] of WRITES) {
          for (const [what, text] of NEVER) {
            const answer = await write(stores, text).then(
              () => 'kept',
              (error: { code?: string }) => error.code,
            )
            expect([name, what, answer]).toEqual([name, what, 'store_refused'])
          }
        }
        expect(await stores.outbox.list(KEY, { limit: 9 })).toEqual({ items: [] })
        expect((await stores.feed.list(KEY, { limit: 9 })).items).toEqual([])
        expect(await stores.events.list(KEY, { limit: 9 })).toEqual({ items: [] })
        expect(await stores.jobs.open(KEY)).toEqual([])
        expect(await stores.sessions.get(KEY)).toBeUndefined()
        expect(await stores.tenants.list()).toEqual([])
      },
    )

    promise('names the part that is wrong, and nothing of what is in it', async ({ stores }) => {
      for (const [, field, write] of WRITES) {
        if (field === '') continue
        const secret = 'nobody may read this'
        const refused: unknown = await write(stores, `${secret}\ud83d`).catch((error: unknown) => error)
        expect(refused).toMatchObject({ field, message: expect.stringContaining(field) })
        expect((refused as Error).message).not.toContain(secret)
      }
    })

    promise('leaves what was stored as it was', async ({ stores }) => {
      const created = await stores.sessions.create(newSession('t', 's'))
      await stores.sessions.reportStatus(KEY, status(1), AT)
      await stores.outbox.enqueue(KEY, message(1))
      await stores.jobs.create(KEY, job(1))
      const never = { code: 'store_refused' }
      const change = stores.sessions.changeWant(
        KEY,
        () => ({ state: 'stopped', metadata: { note: 'x\ud83d' } }),
        { nonce: 'n', nowMs: AT },
      )
      await expect(change).rejects.toMatchObject(never)
      const report = stores.sessions.reportStatus(KEY, status(2, { reason: 'x\ud83d' }), AT)
      await expect(report).rejects.toMatchObject(never)
      const fail = { to: 'failed', epoch: 1, error: { why: 'x\ud83d' }, nowMs: AT } as const
      await expect(stores.outbox.move(KEY, message(1).id, fail)).rejects.toMatchObject(never)
      const end = { state: 'done', result: { note: 'x\ud83d' }, nowMs: AT } as const
      await expect(stores.jobs.finish(KEY, job(1).id, end)).rejects.toMatchObject(never)
      expect(await stores.sessions.get(KEY)).toEqual({ ...created, status: status(1), updatedAt: AT })
      expect(await stores.outbox.get(KEY, message(1).id)).toEqual(message(1))
      expect(await stores.jobs.open(KEY)).toEqual([job(1)])
    })

    promise('is a want that leaves no room for the status beside it', async ({ stores }) => {
      await stores.sessions.create(newSession('t', 's'))
      const grow = (bytes: number) =>
        stores.sessions.changeWant(KEY, () => ({ state: 'running', metadata: { note: 'x'.repeat(bytes) } }), {
          nonce: `n${bytes}`,
          nowMs: AT,
        })
      await expect(grow(300 * 1024)).rejects.toMatchObject({ code: 'store_refused', field: 'want' })
      await grow(200 * 1024)
      await stores.sessions.reportStatus(KEY, status(1, { reason: 'x'.repeat(500_000) }), AT)
      expect((await stores.sessions.get(KEY))?.status?.epoch).toBe(1)
    })

    promise('is a name of a field that no store takes', async ({ stores }) => {
      for (const name of ['', '__x__', 'half \ud83d', 'x'.repeat(1501)]) {
        const want = { state: 'running', metadata: { [name]: 'x' } } as const
        const create = stores.sessions.create({ ...newSession('t', 's'), want })
        await expect(create).rejects.toMatchObject({ code: 'store_refused', field: 'want.metadata' })
      }
      expect(await stores.sessions.get(KEY)).toBeUndefined()
    })

    promise(
      'names the items of a feed that are meant, so that the others get in without them',
      async ({ stores }) => {
        const items = Array.from({ length: 60 }, (_, index) => feedItem(index))
        const bad = [3, 47, 59]
        for (const index of bad) items[index] = feedItem(index, { text: 'x\ud83d' })
        items[50] = feedItem(50, { text: 'y'.repeat(900_000) })
        const refused: unknown = await stores.feed.add(KEY, items, AT).catch((error: unknown) => error)
        expect(refused).toBeInstanceOf(RefusedItems)
        expect(refused).toMatchObject({ code: 'store_refused', items: bad })
        const rest = items.filter((_, index) => !bad.includes(index))
        await stores.feed.add(KEY, rest, AT)
        const { items: kept } = await stores.feed.list(KEY, { limit: 99 })
        expect(kept.map(({ id }) => id)).toEqual(rest.map(({ id }) => id))
      },
    )

    promise('is not what is odd, or long, or ends in a full character', async ({ stores }) => {
      await stores.outbox.enqueue(KEY, message(1, { text: FINE }))
      await stores.outbox.enqueue(KEY, message(2, { text: 'x'.repeat(990_000) }))
      await stores.feed.add(
        KEY,
        [1, 2, 3, 4, 5].map((n) => feedItem(n, { text: 'x'.repeat(950_000) })),
        AT,
      )
      expect((await stores.outbox.get(KEY, message(1).id))?.text).toBe(FINE)
      expect((await stores.outbox.get(KEY, message(2).id))?.text).toHaveLength(990_000)
      expect((await stores.feed.list(KEY, { limit: 9 })).items).toHaveLength(5)
    })
  })
}
