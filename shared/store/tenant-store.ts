import type { TenantId } from '../ids.ts'

export interface Tenant {
  id: TenantId
  name: string
  limits: { sessions: number }
  createdAt: number
}

/** The customers of the operator. Few: lists are not paged. */
export interface TenantStore {
  /** Durable when it resolves. @throws CodedError `exists`, `store_refused` */
  create(tenant: Tenant): Promise<void>
  get(id: TenantId): Promise<Tenant | undefined>
  /** By id. */
  list(): Promise<readonly Tenant[]>
  /** Removing what is not there is harmless. */
  remove(id: TenantId): Promise<void>
}
