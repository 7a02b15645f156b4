import type { Clock } from '../clock.ts'
import type { Random } from '../random.ts'
import type { Stores } from '../store/stores.ts'
import { checkGoogle } from './check.ts'
import { openDatabase, type Database } from './database.ts'
import { firestoreApiKeyStore } from './firestore-api-key-store.ts'
import { firestoreBackupStore } from './firestore-backup-store.ts'
import { firestoreEventStore } from './firestore-event-store.ts'
import { firestoreFeedStore } from './firestore-feed-store.ts'
import { firestoreFleetStore } from './firestore-fleet-store.ts'
import { firestoreJobStore } from './firestore-job-store.ts'
import { firestoreJournalStore } from './firestore-journal-store.ts'
import { firestoreOutboxStore } from './firestore-outbox-store.ts'
import { firestoreOwnerStore } from './firestore-owner-store.ts'
import { firestoreRemovalStore } from './firestore-removal-store.ts'
import { firestoreRunnerStore } from './firestore-runner-store.ts'
import { firestoreSessionStore } from './firestore-session-store.ts'
import { firestoreSnapshotStore } from './firestore-snapshot-store.ts'
import { firestoreTenantStore } from './firestore-tenant-store.ts'
import { kmsKeyWrapper, noKeyWrapper } from './kms-key-wrapper.ts'
import { noMeter, type Meter } from './meter.ts'
import { createSignals } from './signals.ts'
import { openBucket, storageBlobStore } from './storage-blob-store.ts'
import { STORAGE_RETRY, type RetryOptions } from './storage-retry.ts'
import { createTenantCounters } from './tenant-counters.ts'

export interface GoogleOptions {
  project: string
  /** The name of the Firestore database; `(default)` is one. */
  database: string
  bucket: string
  /** `projects/…/locations/…/keyRings/…/cryptoKeys/…`; without it no data key is wrapped or unwrapped. */
  kmsKey: string | undefined
  /** `host:port`, what the emulator calls FIRESTORE_EMULATOR_HOST. */
  firestoreEmulatorHost?: string | undefined
  /** `host:port` or a whole address, what the client calls STORAGE_EMULATOR_HOST. */
  storageEmulatorHost?: string | undefined
  /** `host:port` of a Cloud KMS stand-in without TLS. */
  kmsEndpoint?: string | undefined
  /** Documents and objects lie under this name: several installations, or tests, in one project. */
  namespace?: string | undefined
  clock: Clock
  random: Random
  meter?: Meter
  /** Of one call to Firestore or Cloud KMS. */
  callTimeoutMs?: number
  storageRetry?: RetryOptions
}

/**
 * The production stores. Opening connects to nothing: `check()` does, and says what is wrong. One per process.
 *
 * What it does not guarantee: a call that ended in `store_unavailable` may still take effect up to ten minutes later,
 * when the client's own retry gets through. Every write that could do harm then is conditional; a late renewal of a lease
 * only delays a takeover.
 */
export function openGoogleStores(options: GoogleOptions): Promise<Stores> {
  const { clock, random, meter = noMeter } = options
  const connect = (): Database =>
    openDatabase({
      project: options.project,
      database: options.database,
      emulatorHost: options.firestoreEmulatorHost,
      namespace: options.namespace,
      clock,
      random,
      meter,
      callTimeoutMs: options.callTimeoutMs,
    })
  const db = connect()
  // A connection takes a hundred calls at once, and a renewal that waits behind the others of a start may come too late.
  const leases = connect()
  const signals = createSignals(db)
  const counters = createTenantCounters(db)
  const bucket = openBucket(options.bucket, options.project, address(options.storageEmulatorHost))
  const keys =
    options.kmsKey === undefined
      ? noKeyWrapper
      : kmsKeyWrapper({ key: options.kmsKey, endpoint: options.kmsEndpoint, calls: db.calls, meter })
  let closed: Promise<void> | undefined

  return Promise.resolve({
    tenants: firestoreTenantStore(db, counters),
    apiKeys: firestoreApiKeyStore(db, counters),
    sessions: firestoreSessionStore(db, signals, counters),
    owners: firestoreOwnerStore(db, signals),
    runners: firestoreRunnerStore(leases, signals),
    journal: firestoreJournalStore(db),
    snapshots: firestoreSnapshotStore(db),
    blobs: storageBlobStore({
      bucket,
      prefix: options.namespace === undefined ? '' : `${options.namespace}/`,
      clock,
      random,
      meter,
      retry: options.storageRetry ?? STORAGE_RETRY,
    }),
    events: firestoreEventStore(db),
    outbox: firestoreOutboxStore(db),
    feed: firestoreFeedStore(db),
    jobs: firestoreJobStore(db, counters),
    removals: firestoreRemovalStore(db, signals),
    backups: firestoreBackupStore(db),
    fleet: firestoreFleetStore(db),
    keys,
    check: (scope = 'all') => checkGoogle({ scope, db, bucket, keys, names: options }),
    close() {
      closed ??= closeAll()
      return closed
    },
  })

  async function closeAll(): Promise<void> {
    await signals.close()
    await Promise.all([db.close(), leases.close(), keys.close()])
  }
}

const address = (host: string | undefined): string | undefined =>
  host === undefined || /^https?:\/\//.test(host) ? host : `http://${host}`
