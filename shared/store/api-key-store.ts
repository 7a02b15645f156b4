import type { TenantId } from '../ids.ts'

export const SCOPES = ['read', 'send', 'control', 'admin'] as const
export type Scope = (typeof SCOPES)[number]

/** An API key as it is stored: only the hash of the secret. */
export interface ApiKey {
  /** SHA-256 of the whole key, hex; also its id in the store. */
  sha256: string
  /** A short public id, also part of the key's prefix. */
  id: string
  /** Absent for an admin key, which names the tenant in each request. */
  tenant?: TenantId
  scopes: readonly Scope[]
  /** The first characters, for people to recognise it by. */
  prefix: string
  name: string
  createdAt: number
  lastUsedAt?: number
  revokedAt?: number
}

export interface ApiKeyStore {
  /** Durable when it resolves; a repeat with the same hash is harmless. @throws CodedError `store_refused` */
  create(key: ApiKey): Promise<void>
  find(sha256: string): Promise<ApiKey | undefined>
  /** Of one tenant, or all, by creation. Revoked ones too. */
  list(tenant?: TenantId): Promise<readonly ApiKey[]>
  /** @throws CodedError `not_found` */
  revoke(sha256: string, nowMs: number): Promise<void>
  /** Notes a use; the caller does so at most once a minute and key. Losing one is harmless. */
  touch(sha256: string, nowMs: number): Promise<void>
}
