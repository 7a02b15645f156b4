import { chmodSync, closeSync, openSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { CodedError } from '../errors.ts'
import { isSystemError, openingError } from './sqlite-error.ts'

/**
 * Everything of the embedded set is for the user alone that Mooring runs as: files 0600, folders 0700, whatever the umask is
 * and whoever made the folder. SQLite makes its files as the umask says, and gives the log and its index the mode of the
 * database.
 */
const OTHERS = 0o077
const STICKY = 0o1000

/** Makes an empty file unless it is there. Never opens one that is: closing it would drop every lock of this process on it. */
export function makePrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (thrown) {
    if (!isSystemError(thrown, 'EEXIST')) throw thrown
  }
}

/** Refuses a file of secrets that others could have read: closing it now would hide that. @throws CodedError `config` */
export function mustBePrivate(path: string, what: string): void {
  const { mode } = statSync(path)
  if ((mode & OTHERS) === 0) return
  const found = (mode & 0o777).toString(8)
  throw new CodedError('config', `the ${what} ${path} is open to others (mode ${found}): chmod 600 ${path}`)
}

/** What Mooring makes in the data directory, with the folders among them. */
const FILES = ['records.db', 'journal.db', 'open.lock'].flatMap((name) => [
  name,
  `${name}-wal`,
  `${name}-shm`,
])
const FOLDERS = ['blobs', 'locks', 'work']
/** What else of ours, or of a file system, may be in it. */
const KNOWN = new Set([...FILES, ...FOLDERS, 'key', 'admin-key', 'key-pepper', 'lost+found'])

/**
 * Closes to others what an earlier version, a copy, or a folder that was there before left open. A folder that others share
 * is not closed to them but refused. @throws CodedError `config`
 */
export function keepPrivate(dataDir: string): void {
  const { mode } = statSync(dataDir)
  if ((mode & OTHERS) !== 0) {
    refuseShared(dataDir, mode)
    tighten(dataDir)
  }
  const locks = join(dataDir, 'locks')
  const inLocks = namesIn(locks).map((name) => join(locks, name))
  for (const path of [...FILES, ...FOLDERS].map((name) => join(dataDir, name)).concat(inLocks)) tighten(path)
}

function refuseShared(dataDir: string, mode: number): void {
  const names = namesIn(dataDir)
  const isOurs = names.includes('records.db') || names.every((name) => KNOWN.has(name))
  if (isOurs && (mode & STICKY) === 0) return
  const why = isOurs
    ? 'is one that everybody writes in'
    : 'is open to others and holds what is not of Mooring'
  throw new CodedError(
    'config',
    `the data directory ${dataDir} ${why} (mode ${(mode & 0o7777).toString(8)})`,
    {
      hint: 'Set MOORING_DATA_DIR to a folder of its own, for example one inside of it; one that does not exist is made.',
    },
  )
}

/** Harmless where there is nothing. */
function tighten(path: string): void {
  try {
    const { mode } = statSync(path)
    if ((mode & OTHERS) !== 0) chmodSync(path, mode & 0o700)
  } catch (thrown) {
    if (isSystemError(thrown, 'ENOENT')) return
    throw openingError('close it to others', thrown, path)
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (thrown) {
    if (isSystemError(thrown, 'ENOENT')) return []
    throw openingError('look into it', thrown, folder)
  }
}
