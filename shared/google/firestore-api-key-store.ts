import { CodedError } from '../errors.ts'
import type { ApiKey, ApiKeyStore } from '../store/api-key-store.ts'
import { dataOf, type Database } from './database.ts'
import type { TenantCounters } from './tenant-counters.ts'

/**
 * `apiKeys/{sha256}`: the key as the port has it; hashes spread by themselves. `apiKeyIds/{id}` {sha256}: made in the same
 * commit, so that no two keys get one id. Keys that were made before have none.
 */
export function firestoreApiKeyStore(db: Database, counters: TenantCounters): ApiKeyStore {
  const collection = db.collection('apiKeys')
  const idRef = (id: string) => db.collection('apiKeyIds').doc(id)

  return {
    async create(key) {
      const what = 'create an API key'
      const ref = collection.doc(key.sha256)
      const settle = async (): Promise<boolean> => {
        const [stored, id] = await db.getAll(what, [ref, idRef(key.id)])
        if (stored?.exists) return true
        if (id?.exists) throw new CodedError('exists', `a key with the id ${key.id} exists`)
        return false
      }
      const fill: Parameters<TenantCounters['commit']>[0]['fill'] = (writes) => {
        writes.create(ref, { ...key })
        writes.create(idRef(key.id), { sha256: key.sha256 })
      }
      if (key.tenant !== undefined) {
        // A repeat must not be refused because the key that it made took the last place.
        if (await settle()) return
        return counters.commit({ what, tenant: key.tenant, quota: 'keys', by: 1, fill, settle })
      }
      const outcome = await db.commit(what, fill)
      if (!outcome.done && !(await settle()))
        throw new CodedError('conflict', `${what}: it changed meanwhile`)
    },
    async find(sha256) {
      return dataOf<ApiKey>(await db.get('find an API key', collection.doc(sha256)))
    },
    async list(tenant) {
      const query = tenant === undefined ? collection : collection.where('tenant', '==', tenant)
      const found = await db.query('list API keys', query)
      const keys = found.docs.map((doc) => doc.data() as ApiKey)
      return keys.toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
    },
    async revoke(sha256, nowMs) {
      const what = 'revoke an API key'
      const ref = collection.doc(sha256)
      let snapshot = await db.get(what, ref)
      const isRevoked = (): boolean => {
        const stored = dataOf<ApiKey>(snapshot)
        if (!stored) throw new CodedError('not_found', 'no such API key')
        return stored.revokedAt !== undefined
      }
      if (isRevoked()) return
      const settle = async (): Promise<boolean> => {
        snapshot = await db.get(what, ref)
        return isRevoked()
      }
      const fill: Parameters<TenantCounters['commit']>[0]['fill'] = (writes) =>
        writes.update(ref, { revokedAt: nowMs }, snapshot.updateTime)
      const tenant = dataOf<ApiKey>(snapshot)?.tenant
      if (tenant !== undefined) return counters.commit({ what, tenant, quota: 'keys', by: -1, fill, settle })
      // No counter stands in the way, so the use that may be noted meanwhile need not either.
      const outcome = await db.commit(what, (writes) => writes.update(ref, { revokedAt: nowMs }))
      if (!outcome.done) throw new CodedError('not_found', 'no such API key')
    },
    async forget(sha256) {
      const what = 'forget an API key'
      const ref = collection.doc(sha256)
      const stored = dataOf<ApiKey>(await db.get(what, ref))
      if (stored?.revokedAt === undefined) return
      const id = dataOf<{ sha256: string }>(await db.get(what, idRef(stored.id)))
      await db.commit(what, (writes) => {
        writes.delete(ref)
        if (id?.sha256 === sha256) writes.delete(idRef(stored.id))
      })
    },
    async touch(sha256, nowMs) {
      await db.commit('note the use of an API key', (writes) =>
        writes.update(collection.doc(sha256), { lastUsedAt: nowMs }),
      )
    },
  }
}
