import { CodedError, toError } from '../errors.ts'

/** The primary result codes of SQLite that say nothing about the caller: https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5
const SQLITE_UNAVAILABLE = new Set([
  SQLITE_BUSY,
  6, // LOCKED
  8, // READONLY: the disk was mounted read-only, or the file belongs to somebody else
  10, // IOERR
  11, // CORRUPT
  13, // FULL: no space left on the device
  14, // CANTOPEN
  15, // PROTOCOL: the locks of the write-ahead log could not be had
  26, // NOTADB
])

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

/** An extended code such as SQLITE_BUSY_RECOVERY carries its primary code in the low byte. */
const primaryCode = (thrown: unknown): number | undefined =>
  isObject(thrown) && thrown['code'] === 'ERR_SQLITE_ERROR' && typeof thrown['errcode'] === 'number'
    ? thrown['errcode'] & 0xff
    : undefined

export const isBusy = (thrown: unknown): boolean => primaryCode(thrown) === SQLITE_BUSY

export const isSystemError = (thrown: unknown, ...codes: string[]): boolean =>
  isObject(thrown) &&
  typeof thrown['code'] === 'string' &&
  typeof thrown['errno'] === 'number' &&
  (codes.length === 0 || codes.includes(thrown['code']))

/**
 * What SQLite or the file system threw, in our words. `doing` says what this layer was about. What is neither a known
 * refusal nor trouble of the machine is a bug (a constraint nobody expected, a wrong statement) and stays as it is.
 */
export function storeError(doing: string, thrown: unknown): Error {
  if (thrown instanceof CodedError) return thrown
  const code = primaryCode(thrown)
  const isClosed = isObject(thrown) && thrown['code'] === 'ERR_INVALID_STATE'
  if ((code !== undefined && SQLITE_UNAVAILABLE.has(code)) || isClosed || isSystemError(thrown)) {
    return new CodedError('store_unavailable', doing, { cause: thrown })
  }
  return toError(thrown)
}
