import { expect } from 'vitest'
import type { ApiKey } from '#shared/store/api-key-store.ts'
import { contract, type ContractOptions, type Make } from './promises.ts'
import { AT, tenant, without } from './samples.ts'

const sample = (letter: string, more: Partial<ApiKey> = {}): ApiKey => ({
  sha256: letter.repeat(64),
  id: `key-${letter}`,
  tenant: tenant('t'),
  scopes: ['read', 'send'],
  prefix: `moor_${letter}`,
  name: 'of the shop',
  createdAt: AT,
  ...more,
})

const admin = without(sample('e', { scopes: ['admin'], createdAt: AT + 1 }), 'tenant')

/** The promises of `ApiKeyStore`. */
export function apiKeyStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('ApiKeyStore', make, options, (promise) => {
    promise(
      'keeps a key that was acknowledged when the client closes at once',
      async ({ stores, reopen }) => {
        await stores.apiKeys.create(sample('a'))
        await stores.apiKeys.create(admin)
        await stores.close()
        const { apiKeys } = await reopen()
        expect(await apiKeys.find('a'.repeat(64))).toEqual(sample('a'))
        expect(await apiKeys.find('e'.repeat(64))).toEqual(admin)
        expect(await apiKeys.find('b'.repeat(64))).toBeUndefined()
      },
    )

    promise('takes a key with the same hash again', async ({ stores }) => {
      await stores.apiKeys.create(sample('a'))
      await stores.apiKeys.create(sample('a'))
      expect(await stores.apiKeys.list()).toEqual([sample('a')])
    })

    promise('lists those of a tenant, or all, by creation, revoked ones too', async ({ stores }) => {
      const late = sample('b', { createdAt: AT + 3 })
      const early = sample('c', { createdAt: AT + 2 })
      const foreign = sample('d', { tenant: tenant('u'), createdAt: AT + 4 })
      for (const key of [late, foreign, early, admin]) await stores.apiKeys.create(key)
      await stores.apiKeys.revoke(early.sha256, AT + 9)
      const revoked = { ...early, revokedAt: AT + 9 }
      expect(await stores.apiKeys.list(tenant('t'))).toEqual([revoked, late])
      expect(await stores.apiKeys.list()).toEqual([admin, revoked, late, foreign])
    })

    promise('revokes a key for every client', async ({ stores, reopen }) => {
      await stores.apiKeys.create(sample('a'))
      await stores.apiKeys.revoke('a'.repeat(64), AT + 9)
      const found = await (await reopen()).apiKeys.find('a'.repeat(64))
      expect(found).toEqual({ ...sample('a'), revokedAt: AT + 9 })
    })

    promise('keeps a key revoked when its creation is repeated', async ({ stores }) => {
      await stores.apiKeys.create(sample('a'))
      await stores.apiKeys.revoke('a'.repeat(64), AT + 9)
      await stores.apiKeys.create(sample('a'))
      expect(await stores.apiKeys.find('a'.repeat(64))).toMatchObject({ revokedAt: AT + 9 })
    })

    promise('says not_found when the key to revoke is not there', async ({ stores }) => {
      await expect(stores.apiKeys.revoke('a'.repeat(64), AT)).rejects.toMatchObject({ code: 'not_found' })
    })

    promise('notes the use of a key, and of one that is gone without harm', async ({ stores }) => {
      await stores.apiKeys.create(sample('a'))
      await stores.apiKeys.touch('a'.repeat(64), AT + 60_000)
      await stores.apiKeys.touch('b'.repeat(64), AT + 60_000)
      expect(await stores.apiKeys.list()).toEqual([{ ...sample('a'), lastUsedAt: AT + 60_000 }])
    })
  })
}
