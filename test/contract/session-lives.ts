import { expect } from 'vitest'
import { keyOf as keyOfSession, nameOfKey } from '#shared/ids.ts'
import { contract, gather, race, type ContractOptions, type Make } from './promises.ts'
import { AT, keyOf, mark, newSession, status } from './samples.ts'

const FIRST = keyOf('t', 's', 'l1')
const SECOND = keyOf('t', 's', 'l2')
const NAME = nameOfKey(FIRST)
const DELETE = { purge: false, by: 'control:k', nowMs: AT + 5 }
const DATA_KEY = { id: 'k1', wrapped: Uint8Array.of(1, 2, 255), keyVersion: 'v1', createdAt: AT }

/** The promises of `SessionStore` about the lives of a name, and about deleting one. */
export function sessionLivesContract(make: Make, options: ContractOptions = {}): void {
  contract('SessionStore: lives', make, options, (promise) => {
    promise('finds by name whatever the life, and by key that life alone', async ({ stores, reopen }) => {
      const created = await stores.sessions.create(newSession('t', 's', 'l1'))
      const other = await reopen()
      expect(created).toMatchObject({ tenant: 't', id: 's', life: 'l1' })
      expect(await other.sessions.find(NAME)).toEqual(created)
      expect(await other.sessions.get(FIRST)).toEqual(created)
      expect(await other.sessions.get(SECOND)).toBeUndefined()
      expect(await other.sessions.get(keyOf('t', 's'))).toBeUndefined()
      expect((await gather(other.sessions.scan())).map(keyOfSession)).toEqual([FIRST])
    })

    promise('finds a session without a life, and no life of it', async ({ stores }) => {
      const created = await stores.sessions.create(newSession('t', 's'))
      expect(created.life).toBeUndefined()
      expect(await stores.sessions.find(NAME)).toEqual(created)
      expect(await stores.sessions.get(FIRST)).toBeUndefined()
    })

    promise('refuses a name that another life has', async ({ stores }) => {
      const first = await stores.sessions.create(newSession('t', 's', 'l1'))
      await expect(stores.sessions.create(newSession('t', 's', 'l2'))).rejects.toMatchObject({
        code: 'exists',
      })
      expect(await stores.sessions.find(NAME)).toEqual(first)
    })

    promise('deletes in one commit: the name is free, and all of it is in the removal', async (subject) => {
      const { stores } = subject
      await stores.sessions.create(newSession('t', 's', 'l1'))
      await stores.sessions.reportStatus(FIRST, status(3), AT)
      await stores.sessions.putDataKey(FIRST, DATA_KEY)
      const session = await stores.sessions.get(FIRST)
      const removal = await stores.sessions.remove(FIRST, DELETE)
      await stores.close()
      const other = await subject.reopen()
      expect(removal).toEqual({
        session,
        purge: false,
        by: 'control:k',
        at: AT + 5,
        phase: 'unlinking',
        tries: 0,
      })
      expect(await other.removals.get(FIRST)).toEqual(removal)
      expect(await other.sessions.find(NAME)).toBeUndefined()
      expect((await other.sessions.list({ limit: 9 })).items).toEqual([])
    })

    promise(
      'answers the same removal to a repeat, also once the name has another life',
      async ({ stores }) => {
        await stores.sessions.create(newSession('t', 's', 'l1'))
        const removal = await stores.sessions.remove(FIRST, DELETE)
        const second = await stores.sessions.create(newSession('t', 's', 'l2'))
        expect(await stores.sessions.remove(FIRST, { ...DELETE, purge: true })).toEqual(removal)
        expect(await stores.sessions.find(NAME)).toEqual(second)
      },
    )

    promise('refuses to delete what is not there, or has another generation', async ({ stores }) => {
      await expect(stores.sessions.remove(FIRST, DELETE)).rejects.toMatchObject({ code: 'not_found' })
      const created = await stores.sessions.create(newSession('t', 's', 'l1'))
      const late = stores.sessions.remove(FIRST, { ...DELETE, expectGeneration: 2 })
      await expect(late).rejects.toMatchObject({ code: 'stale' })
      await expect(stores.sessions.remove(SECOND, DELETE)).rejects.toMatchObject({ code: 'not_found' })
      expect(await stores.sessions.find(NAME)).toEqual(created)
    })

    promise('lets whoever is late in an earlier life change nothing of a later one', async ({ stores }) => {
      await stores.sessions.create(newSession('t', 's', 'l1'))
      await stores.sessions.reportStatus(FIRST, status(9), AT)
      await stores.sessions.putDataKey(FIRST, DATA_KEY)
      await stores.sessions.remove(FIRST, DELETE)
      const second = await stores.sessions.create(newSession('t', 's', 'l2'))
      await stores.sessions.putDataKey(SECOND, DATA_KEY)
      const gone = { code: 'not_found' }
      await expect(stores.sessions.reportStatus(FIRST, status(10), AT)).rejects.toMatchObject(gone)
      await expect(stores.sessions.putDataKey(FIRST, { ...DATA_KEY, id: 'k2' })).rejects.toMatchObject(gone)
      const change = stores.sessions.changeWant(FIRST, mark('a'), { nonce: 'n', nowMs: AT })
      await expect(change).rejects.toMatchObject(gone)
      await stores.sessions.destroyDataKeys(FIRST, ['k1'])
      await stores.sessions.erase(FIRST)
      expect(await stores.sessions.get(SECOND)).toEqual({ ...second, dataKeys: [DATA_KEY] })
      // Nor does what was known of the first fence the second.
      await stores.sessions.reportStatus(SECOND, status(1), AT)
      expect((await stores.sessions.get(SECOND))?.status).toEqual(status(1))
    })

    promise(
      'lets one of several deletions make the removal, and tells all of it',
      async ({ stores, reopen }) => {
        const other = await reopen()
        await stores.sessions.create(newSession('t', 's', 'l1'))
        const calls = [stores, other, stores, other].map(({ sessions }, at) =>
          sessions.remove(FIRST, { ...DELETE, by: `by ${at}` }),
        )
        expect(await race(calls)).toEqual({ won: 4, codes: [] })
        const removals = await Promise.all(calls)
        expect(new Set(removals.map(({ by }) => by)).size).toBe(1)
      },
    )
  })
}
