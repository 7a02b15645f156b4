import { CodedError } from '../errors.ts'
import type { ApiKey, ApiKeyStore } from '../store/api-key-store.ts'
import { dataOf, type Database } from './database.ts'

/** `apiKeys/{sha256}`: the key as the port has it. Hashes spread by themselves. */
export function firestoreApiKeyStore(db: Database): ApiKeyStore {
  const collection = db.collection('apiKeys')

  return {
    async create(key) {
      // Refused only when it is there already, and under a hash of 256 random bits that is the same key.
      await db.commit('create an API key', (writes) => writes.create(collection.doc(key.sha256), { ...key }))
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
      const outcome = await db.commit('revoke an API key', (writes) =>
        writes.update(collection.doc(sha256), { revokedAt: nowMs }),
      )
      if (!outcome.done) throw new CodedError('not_found', 'no such API key')
    },
    async touch(sha256, nowMs) {
      await db.commit('note the use of an API key', (writes) =>
        writes.update(collection.doc(sha256), { lastUsedAt: nowMs }),
      )
    },
  }
}
