import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { makePrivateFile } from './private-files.ts'
import { isBusy, storeError } from './sqlite-error.ts'

/**
 * A lock that the operating system takes back when the process ends, however it ends. Node has no file locks of its
 * own, SQLite has: an empty database under `BEGIN EXCLUSIVE` holds a POSIX record lock on its file. SQLite also covers
 * the trap of those locks (closing any descriptor of a file drops all locks of the process on it) as long as nobody
 * opens the file by other means, so nothing here or elsewhere may; `stat` and `unlink` are harmless.
 */
export interface ProcessLock {
  /** Releasing twice is harmless. */
  release(): void
}

/**
 * Takes the lock of a file, which is created when missing, and blocks up to `waitMs` for it.
 * @throws CodedError `store_unavailable` when another holder keeps it
 */
export function takeLock(path: string, waitMs: number): ProcessLock {
  const database = lockFile(path, waitMs, false)
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (thrown) {
    database.close()
    throw storeError('take the lock', thrown, path)
  }
  let held = true
  return {
    release: () => {
      if (held) database.close()
      held = false
    },
  }
}

/** Whether a live process, this one included, holds the lock; `undefined` when there is no such file. */
export function isLockHeld(path: string): boolean | undefined {
  if (!existsSync(path)) return undefined
  const database = lockFile(path, 0, true)
  try {
    database.prepare('SELECT count(*) FROM sqlite_schema').get()
    return false
  } catch (thrown) {
    if (isBusy(thrown)) return true
    throw storeError('test the lock', thrown, path)
  } finally {
    database.close()
  }
}

function lockFile(path: string, waitMs: number, readOnly: boolean): DatabaseSync {
  try {
    if (!readOnly) makePrivateFile(path)
    return new DatabaseSync(path, { timeout: waitMs, readOnly })
  } catch (thrown) {
    throw storeError('open the lock', thrown, path)
  }
}
