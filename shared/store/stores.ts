import type { ApiKeyStore } from './api-key-store.ts'
import type { BackupStore } from './backup-store.ts'
import type { BlobStore } from './blob-store.ts'
import type { EventStore } from './event-store.ts'
import type { FeedStore } from './feed-store.ts'
import type { FleetStore } from './fleet-store.ts'
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

/**
 * One whole set of stores: either the embedded one or Google Cloud's. Every call has a timeout inside its adapter, and may be
 * refused in two ways that say nothing of the world and everything of the call:
 *
 * - `store_unavailable` (or `overloaded`): not now. It is not known whether a write took effect; the same call may be
 *   repeated, and will come through once the store is well again.
 * - `store_refused`: never. Nothing was written, and the same call gets the same answer for ever, whoever waits: what was
 *   given is too large, is not Unicode, or breaks a rule of the store (`storable.ts` has what both sets refuse). The error's
 *   `field` names the part where the adapter knows it. Whoever repeats writes must set such a one aside.
 */
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
  fleet: FleetStore
  keys: KeyWrapper
  /** Rejects with a CodedError `config` or `store_unavailable` whose message tells an operator what is wrong. */
  check(scope?: CheckScope): Promise<void>
  /** Ends connections, timers and locks. Closing twice is harmless. */
  close(): Promise<void>
}
