import { LRUCache } from 'lru-cache'
import { decodeCbor, encodeCbor } from '../cbor.ts'
import { splitKey, type SessionKey } from '../ids.ts'
import type { TenantStore } from '../store/tenant-store.ts'
import type { ContentSecret } from './content-secret.ts'

/** What an application may read anyway, sealed: the bodies of messages and events. Both programs have the secret for it. */
export interface Bodies {
  /**
   * CBOR of the value, sealed for its place: `feed|<event id>`, `outbox|<message id>|request` … A body that is put anywhere
   * else, also of another session or another life, does not open.
   * @throws CodedError `not_found` (no such tenant), `store_unavailable`
   */
  seal(key: SessionKey, place: string, value: unknown): Promise<Uint8Array>
  /** @throws CodedError `bad_bytes`, `not_found` (no such tenant), `store_unavailable` */
  open(key: SessionKey, place: string, sealed: Uint8Array): Promise<unknown>
}

const LABEL = 'bodies'
/** 32 bytes each, and a runner holds some hundreds of sessions. */
const SALTS_MAX = 10_000

export function createBodies(secret: ContentSecret, tenants: Pick<TenantStore, 'salt'>): Bodies {
  // By session: a tenant that is made again under its name has another salt, and its sessions have other lives.
  const salts = new LRUCache<SessionKey, Promise<Uint8Array>>({ max: SALTS_MAX })

  async function useOf(key: SessionKey): Promise<{ salt: Uint8Array; label: string }> {
    const asked = salts.get(key) ?? tenants.salt(splitKey(key).tenant)
    salts.set(key, asked)
    try {
      return { salt: await asked, label: LABEL }
    } catch (error) {
      if (salts.peek(key) === asked) salts.delete(key)
      throw error
    }
  }

  return {
    async seal(key, place, value) {
      return secret.seal(encodeCbor(value), await useOf(key), `${key}|${place}`)
    },
    async open(key, place, sealed) {
      return decodeCbor(secret.open(sealed, await useOf(key), `${key}|${place}`))
    },
  }
}
