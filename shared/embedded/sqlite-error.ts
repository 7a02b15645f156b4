import { CodedError, toError } from '../errors.ts'
import { diskTroubleOf } from './disk-trouble.ts'

/** Primary result codes of SQLite: https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5
/** Others are at it; it passes. LOCKED, and PROTOCOL: the locks of the write-ahead log could not be had. */
const SQLITE_PASSING = new Set([SQLITE_BUSY, 6, 15])
/** Of the values that were given, and of nothing else: TOOBIG, CONSTRAINT (conflicts are asked for and never thrown), MISMATCH. */
const SQLITE_REFUSED = new Set([18, 19, 20])

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

/** Node's own refusal of a value that SQLite has no kind for. */
const isUnbindable = (thrown: unknown): boolean =>
  isObject(thrown) &&
  thrown['code'] === 'ERR_INVALID_ARG_TYPE' &&
  /bound to SQLite parameter/.test(toError(thrown).message)

const troubleOf = (thrown: unknown) =>
  diskTroubleOf(
    primaryCode(thrown) ?? (isSystemError(thrown) ? (thrown as { code: string }).code : undefined),
  )

/**
 * What SQLite or the file system threw, in our words: `doing` says what this layer was about, `path` which file, and the
 * rest what a person can do. Not now (`store_unavailable`) and never (`store_refused`) are told apart. What is neither a
 * known refusal nor trouble of the machine is a bug (a wrong statement) and stays as it is.
 */
export function storeError(doing: string, thrown: unknown, path?: string): Error {
  if (thrown instanceof CodedError) return thrown
  const trouble = troubleOf(thrown)
  if (trouble) {
    const message = path === undefined ? `${doing}: ${trouble.is}` : `${doing}: ${path}: ${trouble.is}`
    return new CodedError('store_unavailable', message, { cause: thrown, hint: trouble.hint })
  }
  const code = primaryCode(thrown)
  if ((code !== undefined && SQLITE_REFUSED.has(code)) || isUnbindable(thrown))
    return new CodedError('store_refused', doing, { cause: thrown })
  const isClosed = isObject(thrown) && thrown['code'] === 'ERR_INVALID_STATE'
  if ((code !== undefined && SQLITE_PASSING.has(code)) || isClosed || isSystemError(thrown))
    return new CodedError('store_unavailable', doing, { cause: thrown })
  return toError(thrown)
}

/** The same at the start, where what does not pass by itself is a matter of settings: `config`. */
export function openingError(doing: string, thrown: unknown, path: string): Error {
  const error = storeError(doing, thrown, path)
  if (!(error instanceof CodedError) || error.code !== 'store_unavailable') return error
  const trouble = troubleOf(error.cause)
  if (!trouble || trouble.passes) return error
  return new CodedError('config', error.message, { cause: error.cause, hint: error.hint })
}
