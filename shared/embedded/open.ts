import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import type { Random } from '../random.ts'
import type { BlobStore } from '../store/blob-store.ts'
import type { KeyWrapper } from '../store/key-wrapper.ts'
import type { Stores } from '../store/stores.ts'
import { Changes } from './changes.ts'
import { makeFolder, syncFolder } from './durable-file.ts'
import { fileBlobStore } from './file-blob-store.ts'
import { keyFileWrapper } from './key-file-wrapper.ts'
import { JOURNAL_MIGRATIONS, RECORD_MIGRATIONS } from './migrations.ts'
import { BLOBS, findParts, JOURNAL, leftBehind, mustBeWhole, mustNotBeginBeside, RECORDS } from './parts.ts'
import { keepPrivate } from './private-files.ts'
import { takeLock } from './process-lock.ts'
import { sqliteApiKeyStore } from './sqlite-api-key-store.ts'
import { sqliteBackupStore } from './sqlite-backup-store.ts'
import { openingError, storeError } from './sqlite-error.ts'
import { sqliteEventStore } from './sqlite-event-store.ts'
import { sqliteFeedStore } from './sqlite-feed-store.ts'
import { sqliteFleetStore } from './sqlite-fleet-store.ts'
import { SqliteFile } from './sqlite-file.ts'
import { sqliteJobStore } from './sqlite-job-store.ts'
import { sqliteJournalStore } from './sqlite-journal-store.ts'
import { sqliteOutboxStore } from './sqlite-outbox-store.ts'
import { sqliteOwnerStore } from './sqlite-owner-store.ts'
import { sqliteRemovalStore } from './sqlite-removal-store.ts'
import { sqliteRunnerStore } from './sqlite-runner-store.ts'
import { sqliteSessionStore } from './sqlite-session-store.ts'
import { sqliteSnapshotStore } from './sqlite-snapshot-store.ts'
import { sqliteTenantStore } from './sqlite-tenant-store.ts'

/** Opening takes some 20 ms; a start of many processes at once still fits. */
const OPEN_WAIT_MS = 10_000
/** A checkpoint comes after 1,000 pages (4 MiB); the log of the journal never outgrows this much by more than a group. */
const JOURNAL_LOG_BYTES = 5 << 20
const RECORD_LOG_BYTES = 1 << 20

/**
 * The stores of one machine, in the folder `dataDir`, which is made when missing. Several processes may have it open:
 * records and journal are two SQLite databases, so that the watches on the records don't wake for every entry.
 *
 * An installation of which a part is missing is refused rather than begun anew beside the rest (`parts.ts`). Everything is
 * for its user alone (`private-files.ts`). `onBroken` is told once, when a database can't be used any more and every call is
 * refused from then on; by default the error is thrown past every handler, which ends the process.
 *
 * What this set does not guarantee: it is as safe as the one disk it is on, and the folder must be on a local file
 * system (SQLite's locks and shared memory don't work over a network).
 * @throws CodedError `config`, `store_unavailable`; what the disk says is in its message and its hint
 */
export async function openEmbeddedStores(options: {
  dataDir: string
  clock: Clock
  random: Random
  /** The key-encryption key (see `keyFromText`); without it a key file is used. */
  keyText?: string
  onBroken?: (error: Error) => void
}): Promise<Stores> {
  const { dataDir, clock } = options
  try {
    await makeFolder(dataDir)
    // SQLite would only say that it can't open a file, and not why.
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
    keepPrivate(dataDir)
    const { records, journal } = openFiles(dataDir, options.onBroken)
    const { blobs, keys, locks } = await openFolders(options, records).catch(async (thrown: unknown) => {
      await Promise.all([records.close(), journal.close()])
      throw thrown
    })
    const changes = new Changes(records)
    const runners = sqliteRunnerStore(records, changes, { clock, folder: locks })
    let closed: Promise<void> | undefined
    const close = async () => {
      changes.close()
      await Promise.all([records.close(), journal.close()])
      // Last: what was still being written was written by a live process.
      runners.close()
    }
    return {
      tenants: sqliteTenantStore(records),
      apiKeys: sqliteApiKeyStore(records),
      sessions: sqliteSessionStore(records, changes),
      owners: sqliteOwnerStore(records, changes),
      runners,
      journal: sqliteJournalStore(journal),
      snapshots: sqliteSnapshotStore(records),
      blobs,
      events: sqliteEventStore(records),
      outbox: sqliteOutboxStore(records, changes),
      feed: sqliteFeedStore(records),
      jobs: sqliteJobStore(records, changes),
      removals: sqliteRemovalStore(records, changes),
      backups: sqliteBackupStore(records),
      fleet: sqliteFleetStore(records),
      keys,
      check: async () => {
        await Promise.all([records.check(), journal.check(), checkFolder(join(dataDir, BLOBS))])
      },
      close: () => (closed ??= close()),
    }
  } catch (thrown) {
    throw openingError('open the stores', thrown, dataDir)
  }
}

/** Whether stores were ever opened in that folder, or a part of them is left there: opening makes what is missing. */
export function hasEmbeddedStores(dataDir: string): boolean {
  const parts = findParts(dataDir)
  return parts.records || leftBehind(parts).length > 0
}

/** All that lies beside the databases, durably made where it is missing. */
async function openFolders(
  options: Parameters<typeof openEmbeddedStores>[0],
  records: SqliteFile,
): Promise<{ blobs: BlobStore; keys: KeyWrapper; locks: string }> {
  const { dataDir, clock, random } = options
  const blobs = await fileBlobStore({ folder: join(dataDir, BLOBS), random, nowMs: clock.nowMs() })
  const keys = await keyFileWrapper({ ...options, inUse: keyVersions(records) })
  const locks = join(dataDir, 'locks')
  await makeFolder(locks)
  await syncFolder(dataDir)
  return { blobs, keys, locks }
}

/** Of the key-encryption keys that data keys are wrapped with. */
function keyVersions(records: SqliteFile): string[] {
  const rows = records.all<{ version: string }>('SELECT DISTINCT key_version AS version FROM data_keys')
  return rows.map(({ version }) => version)
}

/** One process at a time: switching a new file to write-ahead logging can't wait for others the way a write can. */
function openFiles(
  dataDir: string,
  onBroken: ((error: Error) => void) | undefined,
): { records: SqliteFile; journal: SqliteFile } {
  const lock = takeLock(join(dataDir, 'open.lock'), OPEN_WAIT_MS)
  try {
    const parts = findParts(dataDir)
    mustNotBeginBeside(dataDir, parts)
    const told = onBroken && { onBroken }
    const records = SqliteFile.open({
      path: join(dataDir, RECORDS),
      ...told,
      migrations: RECORD_MIGRATIONS,
      logBytes: RECORD_LOG_BYTES,
      secureDelete: true,
    })
    try {
      if (keyVersions(records).length > 0) mustBeWhole(dataDir, parts)
      const path = join(dataDir, JOURNAL)
      const journal = SqliteFile.open({
        path,
        ...told,
        migrations: JOURNAL_MIGRATIONS,
        logBytes: JOURNAL_LOG_BYTES,
      })
      return { records, journal }
    } catch (thrown) {
      void records.close()
      throw thrown
    }
  } finally {
    lock.release()
  }
}

async function checkFolder(folder: string): Promise<void> {
  try {
    await access(folder, constants.R_OK | constants.W_OK)
  } catch (thrown) {
    throw storeError('write objects', thrown, folder)
  }
}
