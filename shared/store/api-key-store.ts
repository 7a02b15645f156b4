import type { SessionId, TenantId } from '../ids.ts'

/** `credentials`: what lets somebody become the device. `admin` includes the others, which do not include each other. */
export const SCOPES = ['read', 'send', 'control', 'credentials', 'admin'] as const
export type Scope = (typeof SCOPES)[number]

/** An API key as it is stored: only the hash of the secret. */
export interface ApiKey {
  /** SHA-256 of the whole key, hex; also its id in the store. */
  sha256: string
  /** A short public id, also part of the key's prefix; no two keys have the same. */
  id: string
  /** Absent for an admin key, which names the tenant in each request. */
  tenant?: TenantId
  scopes: readonly Scope[]
  /** The names of the sessions that it is for; absent for all of its tenant. */
  sessions?: readonly SessionId[]
  /** The first characters, for people to recognise it by. */
  prefix: string
  name: string
  createdAt: number
  /** From then on it opens nothing. */
  expiresAt?: number
  lastUsedAt?: number
  revokedAt?: number
}

export interface ApiKeyStore {
  /**
   * Durable when it resolves; a repeat with the same hash is harmless. The tenant's limit of keys is counted in the same
   * commit; a key of the operator has none.
   * @throws CodedError `exists` when another key has the id, `limit_reached`, `conflict` (too many writers at once),
   * `store_refused`
   */
  create(key: ApiKey): Promise<void>
  find(sha256: string): Promise<ApiKey | undefined>
  /** Of one tenant, or all, by creation. Revoked ones too. */
  list(tenant?: TenantId): Promise<readonly ApiKey[]>
  /** One that is revoked stays as it was. Durable when it resolves. @throws CodedError `not_found` */
  revoke(sha256: string, nowMs: number): Promise<void>
  /** Removes the record of a key that is revoked; its id is free then. Harmless when there is none, or it is not revoked. */
  forget(sha256: string): Promise<void>
  /** Notes a use; the caller does so at most once a minute and key. Losing one is harmless. */
  touch(sha256: string, nowMs: number): Promise<void>
}
