import { CodedError, toError } from '../errors.ts'

/** The status codes of gRPC that mean something to us (grpc/statuscodes). */
export const GRPC = {
  invalidArgument: 3,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  failedPrecondition: 9,
  unauthenticated: 16,
} as const

/** The numeric code of a Google error: gRPC's status, or HTTP's of Cloud Storage. */
export function codeOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  if (typeof error.code === 'number') return error.code
  const code = Number(error.code)
  return Number.isInteger(code) ? code : undefined
}

const messageOf = (error: unknown): string => toError(error).message

/** Firestore says NOT_FOUND of a missing database too; taken for a missing document it would look like data loss. */
export const isMissingDatabase = (error: unknown): boolean =>
  codeOf(error) === GRPC.notFound && /database .*does not exist|database .*not found/i.test(messageOf(error))

/** The client found no credentials at all; it throws before anything is sent. */
export const hasNoCredentials = (error: unknown): boolean =>
  /could not load the default credentials|could not refresh access token/i.test(messageOf(error))

/**
 * Everything that is no answer to the question asked. INVALID_ARGUMENT is wrong whatever the state of the system
 * (grpc/statuscodes), so asking again is of no use; all else may pass. It is never `config` while running: a withdrawn
 * permission may be given back, and sessions must wait for that rather than end. `check()` is where configuration is judged.
 */
export function asStoreError(error: unknown, what: string): CodedError {
  if (error instanceof CodedError) return error
  const code = codeOf(error) === GRPC.invalidArgument ? 'store_refused' : 'store_unavailable'
  return new CodedError(code, what, { cause: error })
}

/**
 * What the client threw while a write was put together, before anything was sent: it takes the value for none of its own
 * kinds, and always will. A `TypeError` is a bug of ours.
 */
export const asRefused = (error: unknown, what: string): Error =>
  error instanceof CodedError || error instanceof TypeError
    ? error
    : new CodedError('store_refused', what, { cause: error })
