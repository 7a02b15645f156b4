import { FieldPath } from '@google-cloud/firestore'
import { CodedError } from '../errors.ts'
import { newTenantSalt } from '../sealing/content-secret.ts'
import type { Tenant, TenantStore } from '../store/tenant-store.ts'
import { change } from './change.ts'
import { dataOf, type Database } from './database.ts'
import type { TenantCounters, TenantDocument } from './tenant-counters.ts'

/** The layout is in `tenant-counters.ts`. */
export function firestoreTenantStore(db: Database, counters: TenantCounters): TenantStore {
  const collection = db.collection('tenants')
  const plain = ({ id, name, limits, createdAt }: TenantDocument): Tenant => ({ id, name, limits, createdAt })

  return {
    async create(tenant) {
      const createdBy = db.random.id()
      const ref = collection.doc(tenant.id)
      const outcome = await db.commit('create a tenant', (writes) =>
        writes.create(ref, { ...tenant, createdBy }),
      )
      if (outcome.done) return
      const stored = dataOf<TenantDocument>(await db.get('create a tenant', ref))
      if (stored?.createdBy !== createdBy) {
        throw new CodedError('exists', `a tenant named ${tenant.id} exists`)
      }
    },
    async get(id) {
      const stored = dataOf<TenantDocument>(await db.get('get a tenant', collection.doc(id)))
      return stored && plain(stored)
    },
    async list() {
      const found = await db.query('list tenants', collection.orderBy(FieldPath.documentId()))
      return found.docs.map((doc) => plain(doc.data() as TenantDocument))
    },
    async change(id, decide) {
      const seen = await change<TenantDocument>(db, 'change a tenant', collection.doc(id), (stored) => {
        if (!stored) throw new CodedError('not_found', `there is no tenant ${id}`)
        const { name, limits } = decide(plain(stored))
        return { fields: { name, limits } }
      })
      if (!seen) throw new CodedError('not_found', `there is no tenant ${id}`)
      return plain(seen.data)
    },
    async salt(id) {
      const made = newTenantSalt()
      const seen = await change<TenantDocument>(
        db,
        'read the salt of a tenant',
        collection.doc(id),
        (stored) => (stored && stored.salt === undefined ? { fields: { salt: made } } : undefined),
      )
      if (!seen) throw new CodedError('not_found', `there is no tenant ${id}`)
      return seen.data.salt ?? made
    },
    used: (id) => counters.used(id),
    async remove(id) {
      await db.commit('remove a tenant', (writes) => writes.delete(collection.doc(id)))
    },
  }
}
