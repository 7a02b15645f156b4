import { CodedError } from '../errors.ts'
import type { TenantId } from '../ids.ts'
import type { Backup, BackupStore } from '../store/backup-store.ts'
import { change } from './change.ts'
import { dataOf, type Database } from './database.ts'
import { ofTenant } from './document-id.ts'
import { toDataKey } from './session-document.ts'

/** `backups/{tenant}~{id}`: the backup. */
export function firestoreBackupStore(db: Database): BackupStore {
  const collection = db.collection('backups')
  const refOf = (tenant: TenantId, id: string) => collection.doc(`${tenant}~${id}`)
  const plain = (stored: Backup): Backup => ({ ...stored, dataKeys: stored.dataKeys.map(toDataKey) })

  const find = async (tenant: TenantId, id: string): Promise<Backup | undefined> => {
    const stored = dataOf<Backup>(await db.get('get a backup', refOf(tenant, id)))
    return stored && plain(stored)
  }

  return {
    async create(backup) {
      const ref = refOf(backup.tenant, backup.id)
      const outcome = await db.commit('keep a backup', (writes) => writes.create(ref, { ...backup }))
      if (outcome.done) return backup
      const stored = await find(backup.tenant, backup.id)
      if (!stored) throw new CodedError('store_unavailable', 'keep a backup: it was removed meanwhile')
      return stored
    },

    get: find,

    async list({ tenant, after, limit }) {
      const all = ofTenant(collection, tenant)
      const items: Backup[] = []
      let cursor = after === undefined ? undefined : `${tenant}~${after}`
      for (;;) {
        const rest = cursor === undefined ? all : all.startAfter(cursor)
        const found = await db.query('list backups', rest.limit(limit + 1))
        for (const doc of found.docs) {
          const stored = doc.data() as Backup
          if (stored.expiresAt === 0) continue
          const last = items.at(-1)
          if (items.length === limit && last) return { items, next: last.id }
          items.push(plain(stored))
        }
        if (found.size <= limit) return { items }
        cursor = found.docs.at(-1)?.id
      }
    },

    async due(nowMs, limit) {
      const over = collection.where('expiresAt', '<=', nowMs).orderBy('expiresAt').limit(limit)
      const found = await db.query('find backups that are over', over)
      return found.docs.map((doc) => plain(doc.data() as Backup))
    },

    async discard(tenant, id) {
      await change<Backup>(db, 'discard a backup', refOf(tenant, id), (stored) =>
        stored && stored.expiresAt > 0 ? { fields: { dataKeys: [], expiresAt: 0 } } : undefined,
      )
    },

    async remove(tenant, id) {
      await db.commit('forget a backup', (writes) => writes.delete(refOf(tenant, id)))
    },
  }
}
