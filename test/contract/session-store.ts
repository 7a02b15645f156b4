import { expect } from 'vitest'
import { nameOfKey, type SessionId } from '#shared/ids.ts'
import type { DataKey } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'
import { eventually } from './eventually.ts'
import { contract, gather, race, type ContractOptions, type Make } from './promises.ts'
import { AT, keyOf, mark, newSession, status, tenant } from './samples.ts'

const KEY = keyOf('t', 's')

const dataKey = (id: string, more: Partial<DataKey> = {}): DataKey => ({
  id,
  wrapped: Uint8Array.of(1, 2, 255),
  keyVersion: 'v1',
  createdAt: AT,
  ...more,
})

/** The promises of `SessionStore` but for want and status: names, lists, data keys, the watch. */
export function sessionStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('SessionStore', make, options, (promise) => {
    promise('creates a session with generation 1 that another client reads', async ({ stores, reopen }) => {
      const want = {
        state: 'running',
        metadata: { name: 'Ada' },
        proxy: { shown: 'http://a.example:8080', sealed: 'c2VhbGVk', mark: 'm' },
      } as const
      const created = await stores.sessions.create({ ...newSession('t', 's'), want })
      expect(created).toEqual({
        tenant: 't',
        id: 's',
        want: { ...want, generation: 1 },
        dataKeys: [],
        createdAt: AT,
        updatedAt: AT,
      })
      expect(await (await reopen()).sessions.get(KEY)).toEqual(created)
      expect(await stores.sessions.find(nameOfKey(KEY))).toEqual(created)
    })

    promise('keeps what was acknowledged when the client closes at once', async ({ stores, reopen }) => {
      await stores.sessions.create(newSession('t', 's'))
      await stores.sessions.changeWant(KEY, mark('a'), { nonce: 'n', nowMs: AT })
      await stores.sessions.reportStatus(KEY, status(1), AT)
      await stores.sessions.putDataKey(KEY, dataKey('k1'))
      await stores.close()
      const found = await (await reopen()).sessions.get(KEY)
      expect(found).toMatchObject({ want: { generation: 2, metadata: { a: 'yes' } }, status: { epoch: 1 } })
      expect(found?.dataKeys).toEqual([dataKey('k1')])
    })

    promise('refuses a name that exists and leaves the session as it is', async ({ stores }) => {
      const first = await stores.sessions.create(newSession('t', 's'))
      const again = { ...newSession('t', 's'), want: { state: 'stopped', metadata: {} } as const }
      await expect(stores.sessions.create(again)).rejects.toMatchObject({ code: 'exists' })
      expect(await stores.sessions.get(KEY)).toEqual(first)
    })

    promise('lets exactly one of several clients create a name', async ({ stores, reopen }) => {
      const other = await reopen()
      const clients = [stores, other, stores, other, stores, other]
      const ends = await race(clients.map(({ sessions }) => sessions.create(newSession('t', 's'))))
      expect(ends).toEqual({ won: 1, codes: ['exists'] })
    })

    promise(
      'F6: never has more sessions of a tenant than its limit, however many are made at once',
      async ({ stores, reopen }) => {
        await stores.tenants.create({ id: tenant('t'), name: 'T', limits: { sessions: 3 }, createdAt: AT })
        const other = await reopen()
        const creates = Array.from({ length: 12 }, (_, index) =>
          (index % 2 === 0 ? stores : other).sessions.create(newSession('t', `s${index}`)),
        )
        expect(await race(creates)).toEqual({ won: 3, codes: ['limit_reached'] })
        expect((await stores.sessions.list({ tenant: tenant('t'), limit: 99 })).items).toHaveLength(3)
        expect(await other.tenants.used(tenant('t'))).toEqual({ sessions: 3, keys: 0, imports: 0 })
        await expect(stores.sessions.create(newSession('t', 'late'))).rejects.toMatchObject({
          limit: { quota: 'sessions', used: 3, allowed: 3 },
        })
        await stores.sessions.create(newSession('u', 'elsewhere'))
      },
    )

    promise('F6: gives the place of a deleted session back, once', async ({ stores, reopen }) => {
      await stores.tenants.create({ id: tenant('t'), name: 'T', limits: { sessions: 1 }, createdAt: AT })
      const other = await reopen()
      const ask = { purge: false, by: 'me', nowMs: AT }
      const ends = {
        deleted: (client: Stores) => client.sessions.remove(KEY, ask),
        erased: (client: Stores) => client.sessions.erase(KEY),
      }
      for (const end of Object.values(ends)) {
        await stores.sessions.create(newSession('t', 's'))
        await Promise.all([stores, other, stores].map((client): Promise<unknown> => end(client)))
        expect(await stores.tenants.used(tenant('t'))).toMatchObject({ sessions: 0 })
        await stores.removals.remove(KEY)
      }
      await other.sessions.create(newSession('t', 's2'))
      await expect(stores.sessions.create(newSession('t', 's3'))).rejects.toMatchObject({
        code: 'limit_reached',
      })
    })

    promise('F6: counts the sessions that were there before their tenant was', async ({ stores }) => {
      for (const id of ['a', 'b']) await stores.sessions.create(newSession('t', id))
      await stores.tenants.create({ id: tenant('t'), name: 'T', limits: { sessions: 3 }, createdAt: AT })
      expect(await stores.tenants.used(tenant('t'))).toMatchObject({ sessions: 2 })
      await stores.sessions.create(newSession('t', 'c'))
      await expect(stores.sessions.create(newSession('t', 'd'))).rejects.toMatchObject({
        code: 'limit_reached',
      })
    })

    promise('says that a name is taken also where there is no room', async ({ stores }) => {
      await stores.tenants.create({ id: tenant('t'), name: 'T', limits: { sessions: 1 }, createdAt: AT })
      await stores.sessions.create(newSession('t', 's'))
      await expect(stores.sessions.create(newSession('t', 's'))).rejects.toMatchObject({ code: 'exists' })
    })

    promise('refuses a cursor that none of its pages gave', async ({ stores }) => {
      for (const after of ['', 'x', 'a/b', 'u~s', 't~s~x', 't~', '../t~s']) {
        await expect(stores.sessions.list({ tenant: tenant('t'), limit: 2, after })).rejects.toMatchObject({
          code: 'invalid_field',
          field: 'after',
        })
      }
    })

    promise('answers undefined for a session that does not exist', async ({ stores }) => {
      expect(await stores.sessions.get(KEY)).toBeUndefined()
    })

    promise('lists by key in pages, each session once, and ends without a cursor', async ({ stores }) => {
      const ids = ['b', 'a', 'e', 'd', 'c']
      await Promise.all(ids.map((id) => stores.sessions.create(newSession('t', id))))
      const first = await stores.sessions.list({ limit: 2 })
      const second = await stores.sessions.list({ limit: 2, after: first.next ?? 'none' })
      const third = await stores.sessions.list({ limit: 2, after: second.next ?? 'none' })
      const found = [first, second, third].map((page) => page.items.map(({ id }) => id))
      expect(found).toEqual([['a', 'b'], ['c', 'd'], ['e']])
      expect(third.next).toBeUndefined()
    })

    promise('gives no cursor with a last page that is full', async ({ stores }) => {
      await stores.sessions.create(newSession('t', 'a'))
      await stores.sessions.create(newSession('t', 'b'))
      expect((await stores.sessions.list({ limit: 2 })).next).toBeUndefined()
    })

    promise('lists the sessions of one tenant and not those of similar names', async ({ stores }) => {
      const names = ['t', 't-1', 't1', 's', 'T']
      await Promise.all(names.map((name) => stores.sessions.create(newSession(name, 'x'))))
      await stores.sessions.create(newSession('t', 'y'))
      const first = await stores.sessions.list({ tenant: tenant('t'), limit: 1 })
      const rest = await stores.sessions.list({ tenant: tenant('t'), limit: 9, after: first.next ?? 'none' })
      const found = [...first.items, ...rest.items].map((session) => [session.tenant, session.id])
      expect(found).toEqual([
        ['t', 'x'],
        ['t', 'y'],
      ])
      expect(rest.next).toBeUndefined()
    })

    promise('answers a page, or invalid_field, for a cursor that no page gave', async ({ stores }) => {
      await stores.sessions.create(newSession('t', 's'))
      for (const after of ['a/b', '../x', '~', 'half \ud83d', '%']) {
        const answer = await stores.sessions.list({ limit: 2, after }).catch((error: unknown) => error)
        if (answer instanceof Error) expect([after, answer]).toMatchObject([after, { code: 'invalid_field' }])
        else expect(answer).toHaveProperty('items')
      }
    })

    promise('scans every session of every tenant over many pages', async ({ stores, beyondOnePage }) => {
      const ids = Array.from({ length: beyondOnePage }, (_, index) => `s${index}` as SessionId)
      await Promise.all(ids.map((id, index) => stores.sessions.create(newSession(`t${index % 3}`, id))))
      const found = (await gather(stores.sessions.scan())).map(({ id }) => id)
      expect(found.toSorted()).toEqual(ids.toSorted())
    })

    promise('appends data keys, oldest first', async ({ stores, reopen }) => {
      await stores.sessions.create(newSession('t', 's'))
      await stores.sessions.putDataKey(KEY, dataKey('k2'), { expectKeys: 0 })
      await stores.sessions.putDataKey(KEY, dataKey('k1'), { expectKeys: 1 })
      await stores.sessions.putDataKey(KEY, dataKey('k3'))
      expect((await (await reopen()).sessions.get(KEY))?.dataKeys.map(({ id }) => id)).toEqual([
        'k2',
        'k1',
        'k3',
      ])
    })

    promise('replaces a data key of the same id in its place', async ({ stores }) => {
      await stores.sessions.create(newSession('t', 's'))
      await stores.sessions.putDataKey(KEY, dataKey('k1'))
      await stores.sessions.putDataKey(KEY, dataKey('k2'))
      const wrappedAgain = dataKey('k1', { wrapped: Uint8Array.of(9), keyVersion: 'v2' })
      await stores.sessions.putDataKey(KEY, wrappedAgain)
      expect((await stores.sessions.get(KEY))?.dataKeys).toEqual([wrappedAgain, dataKey('k2')])
    })

    promise('takes a repeated data key, also with the number of keys from before', async ({ stores }) => {
      await stores.sessions.create(newSession('t', 's'))
      await stores.sessions.putDataKey(KEY, dataKey('k1'), { expectKeys: 0 })
      await stores.sessions.putDataKey(KEY, dataKey('k1'), { expectKeys: 0 })
      expect((await stores.sessions.get(KEY))?.dataKeys).toEqual([dataKey('k1')])
    })

    promise('lets exactly one of two runners create the first data key', async ({ stores, reopen }) => {
      await stores.sessions.create(newSession('t', 's'))
      const clients = [stores, await reopen()]
      const puts = clients.map(({ sessions }, index) =>
        sessions.putDataKey(KEY, dataKey(`k${index}`, { wrapped: Uint8Array.of(index) }), { expectKeys: 0 }),
      )
      expect(await race(puts)).toEqual({ won: 1, codes: ['conflict'] })
      expect((await stores.sessions.get(KEY))?.dataKeys).toHaveLength(1)
    })

    promise('says not_found when the session of a data key is gone', async ({ stores }) => {
      await expect(stores.sessions.putDataKey(KEY, dataKey('k1'))).rejects.toMatchObject({
        code: 'not_found',
      })
    })

    promise('destroys data keys, and again without harm', async ({ stores, reopen }) => {
      await stores.sessions.create(newSession('t', 's'))
      for (const id of ['k1', 'k2', 'k3']) await stores.sessions.putDataKey(KEY, dataKey(id))
      await stores.sessions.destroyDataKeys(KEY, ['k1', 'k3'])
      await stores.sessions.destroyDataKeys(KEY, ['k1', 'k3', 'never'])
      await stores.sessions.destroyDataKeys(keyOf('t', 'nobody'), ['k1'])
      expect((await (await reopen()).sessions.get(KEY))?.dataKeys).toEqual([dataKey('k2')])
    })

    promise('erases a session, and again without harm', async ({ stores }) => {
      await stores.sessions.create(newSession('t', 's'))
      await stores.sessions.erase(KEY)
      await stores.sessions.erase(KEY)
      expect(await stores.sessions.get(KEY)).toBeUndefined()
      expect((await stores.sessions.list({ limit: 9 })).items).toEqual([])
    })

    promise('gives a session that is created anew nothing of the removed one', async ({ stores }) => {
      const created = await stores.sessions.create(newSession('t', 's'))
      await stores.sessions.changeWant(KEY, mark('a'), { nonce: 'n', nowMs: AT })
      await stores.sessions.reportStatus(KEY, status(7), AT)
      await stores.sessions.putDataKey(KEY, dataKey('k1'))
      await stores.sessions.remove(KEY, { purge: false, by: 'b', nowMs: AT })
      expect(await stores.sessions.create(newSession('t', 's'))).toEqual(created)
      expect(await stores.sessions.get(KEY)).toEqual(created)
    })

    promise('tells its own watch of a session created, changed and removed', async ({ stores }) => {
      const heard: string[] = []
      const watch = stores.sessions.watch((key) => heard.push(key))
      await stores.sessions.create(newSession('t', 's'))
      await eventually('the creation is heard', () => heard.includes(KEY))
      heard.length = 0
      await stores.sessions.changeWant(KEY, mark('a'), { nonce: 'n', nowMs: AT })
      await eventually('the change is heard', () => heard.includes(KEY))
      heard.length = 0
      await stores.sessions.erase(KEY)
      await eventually('the removal is heard', () => heard.includes(KEY))
      await watch.close()
    })

    promise('tells the watch of another client, with the name', async ({ stores, reopen }) => {
      const heard = new Set<string>()
      const watch = (await reopen()).sessions.watch((name) => heard.add(name))
      await stores.sessions.create(newSession('t', 's'))
      await stores.sessions.create(newSession('u', 's', 'life'))
      await eventually('both are heard', () => heard.has(KEY) && heard.has(keyOf('u', 's')))
      await watch.close()
    })

    promise('calls no watch that was closed, and closes twice without harm', async ({ stores }) => {
      const closed: string[] = []
      const open: string[] = []
      const first = stores.sessions.watch((key) => closed.push(key))
      const second = stores.sessions.watch((key) => open.push(key))
      await first.close()
      await first.close()
      await stores.sessions.create(newSession('t', 's'))
      await eventually('the open watch is called', () => open.length > 0)
      expect(closed).toEqual([])
      await second.close()
    })
  })
}
