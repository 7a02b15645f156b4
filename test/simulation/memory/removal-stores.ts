import { CodedError } from '#shared/errors.ts'
import { keyOf, nameOfKey, type SessionKey, type TenantId } from '#shared/ids.ts'
import type { BackupStore } from '#shared/store/backup-store.ts'
import type { Removal, RemovalStore } from '#shared/store/removal-store.ts'
import { byText, pageOf, type MemoryClient } from './database.ts'

export function memoryRemovalStore(client: MemoryClient): RemovalStore {
  const all = (): Removal[] => [...client.open().removals.values()]
  const keyOfRemoval = ({ session }: Removal): SessionKey => keyOf(session)
  return {
    get: async (key) => client.open().removals.get(key),
    async list({ tenant, name, after = '', limit }) {
      const fits = all()
        .filter((removal) => removal.session.tenant === tenant && !removal.tenantGone)
        .filter((removal) => name === undefined || nameOfKey(keyOfRemoval(removal)) === name)
        .filter((removal) => keyOfRemoval(removal) > after)
      return pageOf(
        fits.toSorted((a, b) => byText(keyOfRemoval(a), keyOfRemoval(b))),
        limit,
        keyOfRemoval,
      )
    },
    async *scan() {
      yield* all().filter(({ phase }) => phase === 'unlinking')
    },
    due: async (nowMs, limit) =>
      all()
        .filter(({ until = Infinity }) => until <= nowMs)
        .slice(0, limit),
    async change(key, change) {
      const { removals } = client.open()
      const stored = removals.get(key)
      if (!stored) throw new CodedError('not_found', `there is no removal of ${key}`)
      const next = change(stored)
      if (!next) return stored
      removals.set(key, next)
      client.db.note('removal', key)
      return next
    },
    async remove(key) {
      if (client.open().removals.delete(key)) client.db.note('removal', key)
    },
    watch: (changed) => client.db.watch('removal', (key) => changed(key as SessionKey)),
  }
}

export function memoryBackupStore(client: MemoryClient): BackupStore {
  const nameOf = (tenant: TenantId, id: string): string => `${tenant}~${id}`
  return {
    async create(backup) {
      const { backups } = client.open()
      const name = nameOf(backup.tenant, backup.id)
      const stored = backups.get(name)
      if (!stored) backups.set(name, backup)
      return stored ?? backup
    },
    get: async (tenant, id) => client.open().backups.get(nameOf(tenant, id)),
    async list({ tenant, after = '', limit }) {
      const fits = [...client.open().backups.values()].filter(
        (backup) => backup.tenant === tenant && backup.expiresAt > 0 && backup.id > after,
      )
      return pageOf(
        fits.toSorted((a, b) => byText(a.id, b.id)),
        limit,
        ({ id }) => id,
      )
    },
    due: async (nowMs, limit) =>
      [...client.open().backups.values()].filter(({ expiresAt }) => expiresAt <= nowMs).slice(0, limit),
    async discard(tenant, id) {
      const { backups } = client.open()
      const stored = backups.get(nameOf(tenant, id))
      if (stored) backups.set(nameOf(tenant, id), { ...stored, dataKeys: [], expiresAt: 0 })
    },
    async remove(tenant, id) {
      client.open().backups.delete(nameOf(tenant, id))
    },
  }
}
