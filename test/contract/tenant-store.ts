import { expect } from 'vitest'
import { contract, race, type ContractOptions, type Make } from './promises.ts'
import { AT, tenant } from './samples.ts'

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
