import type { TenantId } from '../ids.ts'
import type { TenantLimits } from '../quotas.ts'

export interface Tenant {
  id: TenantId
  name: string
  /** Numbers of its own; what is not in here is as in the table of quotas. */
  limits: TenantLimits
  createdAt: number
}

/** What the exact quotas count: each number changes in the commit that makes or ends one. */
export interface TenantUse {
  sessions: number
  /** Without those that are revoked. */
  keys: number
  /** Jobs of that kind that are open, whether a runner has begun them or not. */
  imports: number
}

/** The customers of the operator. Few: lists are not paged. */
export interface TenantStore {
  /** Durable when it resolves. @throws CodedError `exists`, `store_refused` */
  create(tenant: Tenant): Promise<void>
  get(id: TenantId): Promise<Tenant | undefined>
  /** By id. */
  list(): Promise<readonly Tenant[]>
  /**
   * Replaces name and limits. Durable when it resolves; a repeat is harmless. What is above a lowered limit stays, nothing is
   * added. Answers the tenant as it is then.
   * @throws CodedError `not_found`, `conflict` (too many writers at once)
   */
  change(id: TenantId, change: (tenant: Tenant) => Pick<Tenant, 'name' | 'limits'>): Promise<Tenant>
  /** Nothing at all for a tenant that does not exist. */
  used(id: TenantId): Promise<TenantUse>
  /**
   * The salt that all keys for this tenant's content come from (shared/sealing/content-secret.ts): made when it is first asked
   * for, the same for whoever asks and for as long as there is the tenant, and gone with it, and with the salt all that
   * was sealed. Durable when it resolves; a repeat is harmless.
   * @throws CodedError `not_found`, `conflict` (too many writers at once)
   */
  salt(id: TenantId): Promise<Uint8Array>
  /** Removing what is not there is harmless. */
  remove(id: TenantId): Promise<void>
}
