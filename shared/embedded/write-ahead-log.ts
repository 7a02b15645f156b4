import { closeSync, fdatasync, fdatasyncSync, fstatSync, openSync, writeSync } from 'node:fs'
import { promisify } from 'node:util'

/**
 * The write-ahead log of an open database, made durable by ourselves instead of by SQLite.
 *
 * SQLite's own `synchronous=FULL` calls `fsync` inside COMMIT (Node's build has no fdatasync), which blocks the event loop
 * for as long as the disk likes. With `synchronous=NORMAL` a COMMIT only writes to the log, SQLite still orders the log
 * before every checkpoint, and one `fdatasync` of the log afterwards gives what FULL gives, in the thread pool. What
 * differs: other connections may see a commit a moment before it is durable; whoever waits for our answer does not.
 *
 * Opening the log by its own descriptor is safe: SQLite's locks are on the database and on the `-shm` file.
 */
export interface WriteAheadLog {
  /** Resolves once all that was committed before the call is durable. */
  sync(): Promise<void>
  /**
   * Fills the log with zeros up to its size at the start: a log that is overwritten in place has no new file size to
   * write, so that `fdatasync` takes 0.13 ms instead of 0.24 ms (measured on ext4). The caller holds the write lock of
   * the database, because another process could be writing behind the end of the log right now.
   */
  grow(): void
  close(): void
}

const sync = promisify(fdatasync)
const ZEROS = new Uint8Array(1 << 20)

/** Opens the log of the database at `path`, which is open and stays so for as long as the log is. */
export function openWriteAheadLog(path: string, bytes: number): WriteAheadLog {
  const descriptor = openSync(`${path}-wal`, 'r+')
  return {
    sync: () => sync(descriptor),
    grow: () => {
      const { size } = fstatSync(descriptor)
      for (let at = size; at < bytes; at += ZEROS.length) {
        writeSync(descriptor, ZEROS, 0, Math.min(ZEROS.length, bytes - at), at)
      }
      if (size < bytes) fdatasyncSync(descriptor)
    },
    close: () => closeSync(descriptor),
  }
}
