import { expect } from 'vitest'
import { contract, type ContractOptions, type Make } from './promises.ts'
import { AT, backup, tenant } from './samples.ts'

const T = tenant('t')

/** The promises of `BackupStore`. */
export function backupStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('BackupStore', make, options, (promise) => {
    promise('keeps a backup durably, and answers what is stored to a repeat', async ({ stores, reopen }) => {
      expect(await stores.backups.create(backup('b1'))).toEqual(backup('b1'))
      expect(await stores.backups.create(backup('b1', { label: 'another' }))).toEqual(backup('b1'))
      await stores.close()
      expect(await (await reopen()).backups.get(T, 'b1')).toEqual(backup('b1'))
    })

    promise('keeps tenants apart', async ({ stores }) => {
      await stores.backups.create(backup('b1'))
      expect(await stores.backups.get(tenant('u'), 'b1')).toBeUndefined()
      expect((await stores.backups.list({ tenant: tenant('u'), limit: 9 })).items).toEqual([])
    })

    promise('lists in pages, by id', async ({ stores }) => {
      for (const id of ['b2', 'b3', 'b1']) await stores.backups.create(backup(id))
      const first = await stores.backups.list({ tenant: T, limit: 2 })
      const rest = await stores.backups.list({ tenant: T, limit: 2, after: first.next ?? '' })
      expect([...first.items, ...rest.items].map(({ id }) => id)).toEqual(['b1', 'b2', 'b3'])
      expect(rest.next).toBeUndefined()
    })

    promise('answers those that are over', async ({ stores }) => {
      await stores.backups.create(backup('b1'))
      await stores.backups.create(backup('b2', { expiresAt: AT + 200 }))
      expect(await stores.backups.due(AT + 99, 9)).toEqual([])
      expect((await stores.backups.due(AT + 100, 9)).map(({ id }) => id)).toEqual(['b1'])
    })

    promise('discards: the keys are gone, it is listed no more, and it is due', async ({ stores }) => {
      await stores.backups.create(backup('b1'))
      await stores.backups.create(backup('b2'))
      await stores.backups.discard(T, 'b1')
      await stores.backups.discard(T, 'b1')
      await stores.backups.discard(T, 'never')
      expect(await stores.backups.get(T, 'b1')).toEqual(backup('b1', { dataKeys: [], expiresAt: 0 }))
      expect((await stores.backups.list({ tenant: T, limit: 9 })).items.map(({ id }) => id)).toEqual(['b2'])
      expect((await stores.backups.due(AT, 9)).map(({ id }) => id)).toEqual(['b1'])
    })

    promise('removes a backup, and again without harm', async ({ stores }) => {
      await stores.backups.create(backup('b1'))
      await stores.backups.remove(T, 'b1')
      await stores.backups.remove(T, 'b1')
      expect(await stores.backups.get(T, 'b1')).toBeUndefined()
    })
  })
}
