import { expect } from 'vitest'
import type { SessionId } from '#shared/ids.ts'
import type { ApiKey } from '#shared/store/api-key-store.ts'
import { contract, race, type ContractOptions, type Make } from './promises.ts'
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

    promise('lets exactly one of several keys have an id, whosever they are', async ({ stores, reopen }) => {
      const other = await reopen()
      const keys = ['a', 'b', 'c', 'd'].map((letter, index) =>
        sample(letter, { id: 'same', tenant: tenant(`t${index}`) }),
      )
      const creates = keys.map((key, index) => (index % 2 === 0 ? stores : other).apiKeys.create(key))
      expect(await race(creates)).toEqual({ won: 1, codes: ['exists'] })
      expect(await stores.apiKeys.list()).toHaveLength(1)
      await expect(stores.apiKeys.create({ ...admin, id: 'same' })).rejects.toMatchObject({ code: 'exists' })
    })

    promise(
      'F6: never has more keys of a tenant than its limit, and gives the place of a revoked one back, once',
      async ({ stores, reopen }) => {
        await stores.tenants.create({ id: tenant('t'), name: 'T', limits: { keys: 2 }, createdAt: AT })
        const other = await reopen()
        const letters = ['a', 'b', 'c', 'd', 'f', '0']
        const creates = letters.map((letter, index) =>
          (index % 2 === 0 ? stores : other).apiKeys.create(sample(letter)),
        )
        expect(await race(creates)).toEqual({ won: 2, codes: ['limit_reached'] })
        const [first] = await stores.apiKeys.list(tenant('t'))
        if (!first) throw new Error('two of them were made')
        // A repeat of one that was made is no further one.
        await stores.apiKeys.create(first)
        await Promise.all([stores, other].map(({ apiKeys }) => apiKeys.revoke(first.sha256, AT)))
        await stores.apiKeys.revoke(first.sha256, AT + 1)
        expect(await other.tenants.used(tenant('t'))).toMatchObject({ keys: 1 })
        await stores.apiKeys.create(sample('1'))
        await expect(stores.apiKeys.create(sample('2'))).rejects.toMatchObject({
          code: 'limit_reached',
          limit: { quota: 'keys', used: 2, allowed: 2 },
        })
        await stores.apiKeys.create(admin)
      },
    )

    promise('keeps the time at which a key was revoked first', async ({ stores }) => {
      for (const key of [sample('a'), admin]) {
        await stores.apiKeys.create(key)
        await stores.apiKeys.revoke(key.sha256, AT + 1)
        await stores.apiKeys.revoke(key.sha256, AT + 2)
        expect(await stores.apiKeys.find(key.sha256)).toMatchObject({ revokedAt: AT + 1 })
      }
    })

    promise('forgets a key that is revoked, and no other', async ({ stores, reopen }) => {
      await stores.apiKeys.create(sample('a'))
      await stores.apiKeys.forget('a'.repeat(64))
      expect(await stores.apiKeys.find('a'.repeat(64))).toEqual(sample('a'))
      await stores.apiKeys.revoke('a'.repeat(64), AT)
      const { apiKeys } = await reopen()
      await apiKeys.forget('a'.repeat(64))
      await apiKeys.forget('a'.repeat(64))
      expect(await stores.apiKeys.list()).toEqual([])
      await stores.apiKeys.create(sample('b', { id: 'key-a' }))
    })

    promise('keeps for which sessions a key is, and until when', async ({ stores, reopen }) => {
      const bound = sample('a', { sessions: ['s' as SessionId], expiresAt: AT + 9 })
      await stores.apiKeys.create(bound)
      expect(await (await reopen()).apiKeys.find(bound.sha256)).toEqual(bound)
    })

    promise('notes the use of a key, and of one that is gone without harm', async ({ stores }) => {
      await stores.apiKeys.create(sample('a'))
      await stores.apiKeys.touch('a'.repeat(64), AT + 60_000)
      await stores.apiKeys.touch('b'.repeat(64), AT + 60_000)
      expect(await stores.apiKeys.list()).toEqual([{ ...sample('a'), lastUsedAt: AT + 60_000 }])
    })
  })
}
