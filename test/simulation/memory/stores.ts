import type { Stores } from '#shared/store/stores.ts'
import { MemoryClient, type MemoryDatabase } from './database.ts'
import { memoryFleetStore } from './fleet-store.ts'
import { memoryKeyWrapper } from './key-wrapper.ts'
import { memoryFeedStore, memoryOutboxStore } from './message-stores.ts'
import { memoryOwnerStore } from './owner-store.ts'
import { memoryApiKeyStore, memoryEventStore, memoryJobStore } from './record-stores.ts'
import { memoryBackupStore, memoryRemovalStore } from './removal-stores.ts'
import { memoryRunnerStore } from './runner-store.ts'
import { memorySessionStore } from './session-store.ts'
import { memoryBlobStore, memoryJournalStore, memorySnapshotStore } from './state-stores.ts'
import { memoryTenantStore } from './tenant-store.ts'

/** A client of a database in memory. It keeps the contracts of all ports, and it never fails: faults are put around it. */
export function memoryStores(db: MemoryDatabase): Stores {
  const client = new MemoryClient(db)
  return {
    tenants: memoryTenantStore(client),
    apiKeys: memoryApiKeyStore(client),
    sessions: memorySessionStore(client),
    owners: memoryOwnerStore(client),
    runners: memoryRunnerStore(client),
    journal: memoryJournalStore(client),
    snapshots: memorySnapshotStore(client),
    blobs: memoryBlobStore(client),
    events: memoryEventStore(client),
    outbox: memoryOutboxStore(client),
    feed: memoryFeedStore(client),
    jobs: memoryJobStore(client),
    removals: memoryRemovalStore(client),
    backups: memoryBackupStore(client),
    fleet: memoryFleetStore(client),
    keys: memoryKeyWrapper(client),
    check: async () => void client.open(),
    close: async () => client.close(),
  }
}
