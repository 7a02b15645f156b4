import type { ApiKeyStore } from './api-key-store.ts'
import type { BackupStore } from './backup-store.ts'
import type { BlobStore } from './blob-store.ts'
import type { EventStore } from './event-store.ts'
import type { FeedStore } from './feed-store.ts'
import type { JobStore } from './job-store.ts'
import type { JournalStore } from './journal-store.ts'
import type { KeyWrapper } from './key-wrapper.ts'
import type { OutboxStore } from './outbox-store.ts'
import type { OwnerStore } from './owner-store.ts'
import type { RemovalStore } from './removal-store.ts'
import type { RunnerStore } from './runner-store.ts'
import type { SessionStore } from './session-store.ts'
import type { SnapshotStore } from './snapshot-store.ts'
import type { TenantStore } from './tenant-store.ts'

/** `records`: at least what the sessions' records are in; by that alone control can answer nearly everything. */
export type CheckScope = 'all' | 'records'

/** One whole set of stores: either the embedded one or Google Cloud's. Every call has a timeout inside its adapter. */
export interface Stores {
  tenants: TenantStore
  apiKeys: ApiKeyStore
  sessions: SessionStore
  owners: OwnerStore
  runners: RunnerStore
  journal: JournalStore
  snapshots: SnapshotStore
  blobs: BlobStore
  events: EventStore
  outbox: OutboxStore
  feed: FeedStore
  jobs: JobStore
  removals: RemovalStore
  backups: BackupStore
  keys: KeyWrapper
  /** Rejects with a CodedError `config` or `store_unavailable` whose message tells an operator what is wrong. */
  check(scope?: CheckScope): Promise<void>
  /** Ends connections, timers and locks. Closing twice is harmless. */
  close(): Promise<void>
}
