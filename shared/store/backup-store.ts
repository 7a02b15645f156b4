import type { SessionKey, TenantId } from '../ids.ts'
import type { DataKey } from '../session.ts'
import type { Page } from './session-store.ts'
import type { SnapshotRecord } from './snapshot-store.ts'

/** What is kept of a deleted session: everything that a restore under another name needs. */
export interface Backup {
  id: string
  tenant: TenantId
  /** The session that it is of; its bytes are bound to this key. */
  origin: SessionKey
  /** Those that the snapshot can be opened with; none are left once it was discarded. */
  dataKeys: readonly DataKey[]
  /** `object` names the backup's own object. */
  snapshot: SnapshotRecord
  label: string
  jid?: string
  createdAt: number
  /** From then on it is forgotten; 0 once it was discarded. */
  expiresAt: number
}

/** The backups of deleted sessions. Their objects are in the blob store. */
export interface BackupStore {
  /** Create-only by id. Durable when it resolves; a repeat answers what is stored. */
  create(backup: Backup): Promise<Backup>
  get(tenant: TenantId, id: string): Promise<Backup | undefined>
  /** By id, ascending, without those that were discarded; `after` is a cursor of an earlier page. */
  list(ask: { tenant: TenantId; after?: string; limit: number }): Promise<Page<Backup>>
  /** Those whose `expiresAt` is not after `nowMs`, the discarded ones too, at most `limit`, in no order. */
  due(nowMs: number, limit: number): Promise<readonly Backup[]>
  /**
   * Destroys its data keys, so that nobody can ever open it, and makes it due: a runner removes the object. Harmless when
   * there is none, and when repeated.
   */
  discard(tenant: TenantId, id: string): Promise<void>
  /** Removes the record; the caller removes the object first. Harmless when there is none. */
  remove(tenant: TenantId, id: string): Promise<void>
}
