import { CodedError } from '#shared/errors.ts'
import { splitKey, type TenantId } from '#shared/ids.ts'
import { allowedOf, limitReached } from '#shared/quotas.ts'
import { newTenantSalt } from '#shared/sealing/content-secret.ts'
import { mustBeStorable } from '#shared/store/storable.ts'
import type { TenantStore, TenantUse } from '#shared/store/tenant-store.ts'
import { byText, type MemoryClient, type MemoryDatabase } from './database.ts'

const usedOf = (db: MemoryDatabase, id: TenantId): TenantUse => ({
  sessions: [...db.sessions.values()].filter(({ session }) => session.tenant === id).length,
  keys: [...db.apiKeys.values()].filter((key) => key.tenant === id && key.revokedAt === undefined).length,
  imports: [...db.jobs]
    .filter(([key]) => splitKey(key).tenant === id)
    .flatMap(([, jobs]) => [...jobs.values()])
    .filter(({ kind, state }) => kind === 'import' && state === 'open').length,
})

/** @throws CodedError `limit_reached` */
export function demandRoom(db: MemoryDatabase, id: TenantId, quota: keyof TenantUse): void {
  const tenant = db.tenants.get(id)
  if (!tenant) return
  const [used, allowed] = [usedOf(db, id)[quota], allowedOf(tenant.limits, quota)]
  if (used >= allowed) throw limitReached({ quota, used, allowed }, `the ${quota} of the tenant ${id}`)
}

export function memoryTenantStore(client: MemoryClient): TenantStore {
  return {
    async create(tenant) {
      const { tenants } = client.open()
      if (tenants.has(tenant.id)) throw new CodedError('exists', `the tenant ${tenant.id} exists`)
      mustBeStorable('create a tenant', { tenant })
      tenants.set(tenant.id, tenant)
    },
    get: async (id) => client.open().tenants.get(id),
    list: async () => [...client.open().tenants.values()].toSorted((a, b) => byText(a.id, b.id)),
    async change(id, change) {
      const { tenants } = client.open()
      const stored = tenants.get(id)
      if (!stored) throw new CodedError('not_found', `there is no tenant ${id}`)
      const { name, limits } = change(stored)
      const tenant = { ...stored, name, limits }
      mustBeStorable('change a tenant', { tenant })
      tenants.set(id, tenant)
      return tenant
    },
    async salt(id) {
      const { tenants, salts } = client.open()
      if (!tenants.has(id)) throw new CodedError('not_found', `there is no tenant ${id}`)
      const salt = salts.get(id) ?? newTenantSalt()
      salts.set(id, salt)
      return salt
    },
    used: async (id) => usedOf(client.open(), id),
    async remove(id) {
      const { tenants, salts } = client.open()
      tenants.delete(id)
      salts.delete(id)
    },
  }
}
