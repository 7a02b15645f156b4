import { expect } from 'vitest'
import type { Tenant } from '#shared/store/tenant-store.ts'
import { contract, race, type ContractOptions, type Make } from './promises.ts'
import { AT, newSession, tenant } from './samples.ts'

const sample = (id: string, name = 'Ada') => ({
  id: tenant(id),
  name,
  limits: { sessions: 5 },
  createdAt: AT,
})

/** The promises of `TenantStore`. */
export function tenantStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('TenantStore', make, options, (promise) => {
    promise(
      'keeps a tenant that was acknowledged when the client closes at once',
      async ({ stores, reopen }) => {
        await stores.tenants.create(sample('t'))
        await stores.close()
        expect(await (await reopen()).tenants.get(tenant('t'))).toEqual(sample('t'))
      },
    )

    promise('answers undefined for a tenant that does not exist', async ({ stores }) => {
      expect(await stores.tenants.get(tenant('t'))).toBeUndefined()
    })

    promise('refuses a tenant that exists and leaves it as it is', async ({ stores, reopen }) => {
      const other = await reopen()
      const creates = [stores, other, stores].map(({ tenants }, index) =>
        tenants.create(sample('t', `n${index}`)),
      )
      expect(await race(creates)).toEqual({ won: 1, codes: ['exists'] })
      const kept = await stores.tenants.get(tenant('t'))
      await expect(other.tenants.create(sample('t', 'late'))).rejects.toMatchObject({ code: 'exists' })
      expect(await stores.tenants.get(tenant('t'))).toEqual(kept)
    })

    promise('changes name and limits and nothing else, whoever else does', async ({ stores, reopen }) => {
      await stores.tenants.create(sample('t'))
      const other = await reopen()
      const raise = ({ name, limits }: Tenant) => ({
        name,
        limits: { ...limits, sessions: (limits.sessions ?? 0) + 1 },
      })
      await Promise.all([stores, other, stores].map(({ tenants }) => tenants.change(tenant('t'), raise)))
      const changed = await other.tenants.change(tenant('t'), ({ limits }) => ({ name: 'Eve', limits }))
      expect(changed).toEqual({ ...sample('t', 'Eve'), limits: { sessions: 8 } })
      expect(await stores.tenants.get(tenant('t'))).toEqual(changed)
    })

    promise('says not_found when the tenant to change is not there', async ({ stores }) => {
      const change = stores.tenants.change(tenant('t'), (stored) => stored)
      await expect(change).rejects.toMatchObject({ code: 'not_found' })
    })

    promise('F6: a limit that was changed holds from the next creation on', async ({ stores, reopen }) => {
      await stores.tenants.create({ ...sample('t'), limits: { sessions: 0 } })
      const create = () => stores.sessions.create(newSession('t', 's'))
      await expect(create()).rejects.toMatchObject({ code: 'limit_reached' })
      const other = await reopen()
      await other.tenants.change(tenant('t'), ({ name }) => ({ name, limits: { sessions: 1 } }))
      expect(await create()).toMatchObject({ id: 's' })
    })

    promise('has used nothing of a tenant that does not exist', async ({ stores }) => {
      expect(await stores.tenants.used(tenant('t'))).toEqual({ sessions: 0, keys: 0, imports: 0 })
    })

    promise(
      'has one salt for each tenant, whoever asks first, and another one when the tenant is made again',
      async ({ stores, reopen }) => {
        await stores.tenants.create(sample('t'))
        await stores.tenants.create(sample('u'))
        const other = await reopen()
        const salts = await Promise.all(
          [stores, other, stores, other].map(({ tenants }) => tenants.salt(tenant('t'))),
        )
        const [salt] = salts.map((bytes) => Buffer.from(bytes).toString('hex'))
        expect(new Set(salts.map((bytes) => Buffer.from(bytes).toString('hex')))).toEqual(new Set([salt]))
        expect(salts[0]).toHaveLength(32)
        await other.tenants.change(tenant('t'), ({ limits }) => ({ name: 'Eve', limits }))
        const hexOf = async (id: string) => Buffer.from(await stores.tenants.salt(tenant(id))).toString('hex')
        expect(await hexOf('t')).toBe(salt)
        expect(await hexOf('u')).not.toBe(salt)
        expect(await stores.tenants.get(tenant('t'))).toEqual(sample('t', 'Eve'))
        expect(await stores.tenants.list()).toEqual([sample('t', 'Eve'), sample('u')])
        await stores.tenants.remove(tenant('t'))
        await expect(other.tenants.salt(tenant('t'))).rejects.toMatchObject({ code: 'not_found' })
        await stores.tenants.create(sample('t'))
        expect(await hexOf('t')).not.toBe(salt)
      },
    )

    promise('lists by id', async ({ stores }) => {
      for (const id of ['b', 'a', 'c']) await stores.tenants.create(sample(id))
      expect(await stores.tenants.list()).toEqual([sample('a'), sample('b'), sample('c')])
    })

    promise('removes a tenant, and again without harm', async ({ stores }) => {
      await stores.tenants.create(sample('t'))
      await stores.tenants.remove(tenant('t'))
      await stores.tenants.remove(tenant('t'))
      expect(await stores.tenants.list()).toEqual([])
    })
  })
}
