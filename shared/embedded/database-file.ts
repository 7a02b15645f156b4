import { DatabaseSync } from 'node:sqlite'
import { systemClock } from '../clock.ts'
import { migrate } from './migrations.ts'
import { makePrivateFile } from './private-files.ts'
import { isBusy, openingError } from './sqlite-error.ts'
import { openWriteAheadLog, type WriteAheadLog } from './write-ahead-log.ts'

/** How long a call waits for other processes that write: far below `renewWithinMs` (docs/design/ownership.md §4.1). */
const BUSY_FOR_MS = 2_000
/** A transaction of another process takes some 0.1 ms; waking more often than this would only burn CPU. */
const BUSY_STEP_MS = 1

export interface DatabaseFile {
  path: string
  migrations: readonly string[]
  /** The size that the write-ahead log is grown to at once. */
  logBytes: number
  secureDelete?: boolean
}

/**
 * Opens or makes a database for its user alone, with its schema up to date, and its log beside it. Blocks.
 * @throws CodedError `config`, `store_unavailable`
 */
export function openDatabaseFile(file: DatabaseFile): { database: DatabaseSync; log: WriteAheadLog } {
  const { path, migrations, logBytes, secureDelete = false } = file
  let database: DatabaseSync | undefined
  try {
    makePrivateFile(path)
    database = new DatabaseSync(path, { timeout: BUSY_FOR_MS })
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 1000`)
    if (secureDelete) database.exec('PRAGMA secure_delete = ON')
    database.exec('BEGIN IMMEDIATE')
    migrate(database, path, migrations)
    database.exec('COMMIT; BEGIN IMMEDIATE')
    const log = openWriteAheadLog(path, logBytes)
    log.grow()
    // From here on waiting is ours: SQLite would wait by blocking the thread.
    database.exec('ROLLBACK; PRAGMA busy_timeout = 0')
    return { database, log }
  } catch (thrown) {
    database?.close()
    throw openingError('open the database', thrown, path)
  }
}

/** Repeats what SQLite refused because another process is at it, without blocking the event loop. */
export async function whenFree<T>(action: () => T): Promise<T> {
  const sinceMs = systemClock.monotonicMs()
  for (;;) {
    try {
      return action()
    } catch (thrown) {
      if (!isBusy(thrown) || systemClock.monotonicMs() - sinceMs > BUSY_FOR_MS) throw thrown
      await systemClock.sleep(BUSY_STEP_MS)
    }
  }
}
