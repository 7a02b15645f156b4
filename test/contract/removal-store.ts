import { expect } from 'vitest'
import { nameOfKey } from '#shared/ids.ts'
import type { Removal } from '#shared/store/removal-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { eventually } from './eventually.ts'
import { contract, gather, type ContractOptions, type Make } from './promises.ts'
import { AT, keyOf, newSession, tenant, without } from './samples.ts'

const KEY = keyOf('t', 's', 'l1')

/** Makes a session and deletes it. */
async function removed(
  { sessions }: Stores,
  tenantName: string,
  id: string,
  life?: string,
): Promise<Removal> {
  await sessions.create(newSession(tenantName, id, life))
  return sessions.remove(keyOf(tenantName, id, life), { purge: false, by: 'b', nowMs: AT })
}

const ended =
  (more: Partial<Removal> = {}) =>
  (removal: Removal): Removal => ({
    ...removal,
    phase: 'kept',
    until: AT + 50,
    ...more,
  })

const idsOf = (removals: readonly Removal[]) => removals.map(({ session }) => `${session.id}~${session.life}`)

/** The promises of `RemovalStore`. */
export function removalStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('RemovalStore', make, options, (promise) => {
    promise('answers undefined for a removal that there is none of', async ({ stores }) => {
      expect(await stores.removals.get(KEY)).toBeUndefined()
      await stores.removals.remove(KEY)
      const change = stores.removals.change(KEY, (removal) => removal)
      await expect(change).rejects.toMatchObject({ code: 'not_found' })
    })

    promise(
      'changes one durably, and leaves it as it is when there is nothing to change',
      async (subject) => {
        const { stores } = subject
        const first = await removed(stores, 't', 's', 'l1')
        expect(await stores.removals.change(KEY, () => undefined)).toEqual(first)
        const unlinkResult = { device: 'still_linked', why: 'no answer' } as const
        const changed = await stores.removals.change(KEY, ended({ unlinkResult, backup: 'b1', tries: 3 }))
        expect(changed).toEqual({
          ...first,
          phase: 'kept',
          until: AT + 50,
          unlinkResult,
          backup: 'b1',
          tries: 3,
        })
        await stores.close()
        expect(await (await subject.reopen()).removals.get(KEY)).toEqual(changed)
      },
    )

    promise('loses none of many changes at once', async ({ stores, reopen }) => {
      const other = await reopen()
      await removed(stores, 't', 's', 'l1')
      const more = (removal: Removal): Removal => ({ ...removal, tries: removal.tries + 1 })
      await Promise.all(
        [stores, other, stores, other].map(async ({ removals }) => {
          for (let round = 0; round < 5; round++) await removals.change(KEY, more)
        }),
      )
      expect((await stores.removals.get(KEY))?.tries).toBe(20)
    })

    promise(
      'lists those of a tenant in pages, by key, and of one name its lives alone',
      async ({ stores }) => {
        for (const life of ['l1', 'l2', undefined]) await removed(stores, 't', 's', life)
        await removed(stores, 't', 's2', 'l1')
        await removed(stores, 't', 's-b', 'l1')
        await removed(stores, 'u', 's', 'l1')
        const page = await stores.removals.list({ tenant: tenant('t'), limit: 2 })
        const rest = await stores.removals.list({ tenant: tenant('t'), limit: 9, after: page.next ?? '' })
        expect(idsOf([...page.items, ...rest.items]).toSorted()).toEqual(
          ['s-b~l1', 's2~l1', 's~l1', 's~l2', 's~undefined'].toSorted(),
        )
        expect(rest.next).toBeUndefined()
        const ofName = { tenant: tenant('t'), name: nameOfKey(KEY) }
        const first = await stores.removals.list({ ...ofName, limit: 2 })
        const second = await stores.removals.list({ ...ofName, limit: 2, after: first.next ?? '' })
        expect(idsOf([...first.items, ...second.items])).toEqual(['s~undefined', 's~l1', 's~l2'])
      },
    )

    promise('lists none whose tenant is gone, and still scans it', async ({ stores }) => {
      await removed(stores, 't', 's', 'l1')
      await removed(stores, 't', 's', 'l2')
      await stores.removals.change(KEY, (removal) => ({ ...removal, tenantGone: true }))
      const { items } = await stores.removals.list({ tenant: tenant('t'), limit: 9 })
      expect(idsOf(items)).toEqual(['s~l2'])
      expect(idsOf(await gather(stores.removals.scan())).toSorted()).toEqual(['s~l1', 's~l2'])
    })

    promise('scans the open ones, and answers those that are over', async ({ stores }) => {
      await removed(stores, 't', 'a', 'l1')
      await removed(stores, 't', 'b', 'l1')
      await stores.removals.change(keyOf('t', 'a', 'l1'), ended())
      expect(idsOf(await gather(stores.removals.scan()))).toEqual(['b~l1'])
      expect(await stores.removals.due(AT + 49, 9)).toEqual([])
      expect(idsOf(await stores.removals.due(AT + 50, 9))).toEqual(['a~l1'])
      await stores.removals.change(keyOf('t', 'a', 'l1'), (removal) => ({
        ...without(removal, 'until'),
        phase: 'unlinking',
      }))
      expect(await stores.removals.due(AT + 50, 9)).toEqual([])
      expect(await gather(stores.removals.scan())).toHaveLength(2)
    })

    promise('scans every open one when they need several pages', async ({ stores, beyondOnePage }) => {
      const count = Math.min(beyondOnePage, 520)
      await Promise.all(Array.from({ length: count }, (_, at) => removed(stores, 't', `s${at}`, 'l')))
      expect(new Set(idsOf(await gather(stores.removals.scan()))).size).toBe(count)
    })

    promise('forgets one, and tells the watch of another client of all of it', async ({ stores, reopen }) => {
      const heard: string[] = []
      const watch = (await reopen()).removals.watch((key) => heard.push(key))
      await removed(stores, 't', 's', 'l1')
      await eventually('the deletion is heard', () => heard.includes(KEY))
      heard.length = 0
      await stores.removals.change(KEY, ended())
      await eventually('the change is heard', () => heard.includes(KEY))
      heard.length = 0
      await stores.removals.remove(KEY)
      await eventually('the end is heard', () => heard.includes(KEY))
      expect(await stores.removals.get(KEY)).toBeUndefined()
      await watch.close()
    })
  })
}
