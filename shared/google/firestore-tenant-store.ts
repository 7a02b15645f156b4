import { FieldPath } from '@google-cloud/firestore'
import { CodedError } from '../errors.ts'
import type { Tenant, TenantStore } from '../store/tenant-store.ts'
import { dataOf, type Database } from './database.ts'

/** `tenants/{id}`: the tenant, and `createdBy`, a nonce that tells one's own creation from another's. */
interface TenantDocument extends Tenant {
  createdBy: string
}

export function firestoreTenantStore(db: Database): TenantStore {
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
    async remove(id) {
      await db.commit('remove a tenant', (writes) => writes.delete(collection.doc(id)))
    },
  }
}
