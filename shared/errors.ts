/**
 * Every expected failure of Mooring, in one table. `retry` says what a caller may do: `never` (asking again gives the
 * same answer), `later` (the world may have changed), `after_refetch` (read the state again first). `http` is the status
 * the control API answers with. Bugs are not in here: they are assertions, and end the pass or the process.
 */
export const ERRORS = {
  // asked wrongly
  invalid_field: {
    retry: 'never',
    http: 422,
    hint: 'Correct the field that is named and send the request again.',
  },
  invalid_body: { retry: 'never', http: 400, hint: 'Send a JSON object with content-type application/json.' },
  unauthorized: {
    retry: 'never',
    http: 401,
    hint: 'Send an API key as "Authorization: Bearer moor_…" or "X-API-Key".',
  },
  forbidden: { retry: 'never', http: 403, hint: 'Use a key that has the scope which is named.' },
  not_found: {
    retry: 'never',
    http: 404,
    hint: 'Check the name; a key sees only the things of its own tenant.',
  },
  no_qr: {
    retry: 'later',
    http: 404,
    hint: 'Open a pairing window with POST …/pairing, then GET …/qr?wait=30 waits for its first QR.',
  },
  tenant_required: { retry: 'never', http: 422, hint: 'An admin key names the tenant with ?tenant=.' },
  exists: { retry: 'never', http: 409, hint: 'Choose another name, or use PUT to declare the want whole.' },
  conflict: {
    retry: 'after_refetch',
    http: 409,
    hint: 'Read the session again and decide on what it says now.',
  },
  already_paired: {
    retry: 'never',
    http: 409,
    hint: 'Good credentials exist. To link again all the same send "replace": true.',
  },
  stale: {
    retry: 'after_refetch',
    http: 412,
    hint: 'Read the session again and repeat the change with its new ETag.',
  },
  too_large: { retry: 'never', http: 413, hint: 'Send less in one request.' },
  limit_reached: {
    retry: 'never',
    http: 409,
    hint: 'Give something up, or have the operator raise the limit: PATCH /v1/tenants/{tenant}.',
  },
  limited_now: {
    retry: 'later',
    http: 429,
    hint: 'Do less of it at once, and ask again after the time in Retry-After; GET /v1/tenants/{tenant} shows every limit.',
  },
  rate_limited: { retry: 'later', http: 429, hint: 'Wait for the time in Retry-After.' },
  method_not_allowed: { retry: 'never', http: 405, hint: 'Use one of the methods in the header Allow.' },
  // ours no more
  fenced: {
    retry: 'never',
    http: 409,
    hint: 'A newer owner writes for this session; this process must drop it.',
  },
  lease_lost: {
    retry: 'never',
    http: 503,
    hint: 'The runner could not renew its lease in time and dropped its sockets.',
  },
  owner_changed: { retry: 'after_refetch', http: 409, hint: 'Another runner claimed the session first.' },
  seq_taken: {
    retry: 'after_refetch',
    http: 409,
    hint: 'Read the journal from this seq and see whose entry it is.',
  },
  state_changed: {
    retry: 'after_refetch',
    http: 409,
    hint: 'Read it again: it is further on than this change expects.',
  },
  too_late: { retry: 'never', http: 409, hint: 'It is on its way, or over; read it to see how it fared.' },
  closed: { retry: 'never', http: 503, hint: 'The session is being handed over; its next owner goes on.' },
  // never, whoever asks
  store_refused: {
    retry: 'never',
    http: 422,
    hint: 'No store keeps this, however often it is sent: correct or shorten what is named.',
  },
  // try later
  store_unavailable: {
    retry: 'later',
    http: 503,
    hint: 'The store did not answer in time; the request is safe to repeat.',
  },
  overloaded: { retry: 'later', http: 503, hint: 'Too much is waiting for the store; slow down.' },
  // bad bytes
  bad_bytes: {
    retry: 'after_refetch',
    http: 500,
    hint: 'An older snapshot is used instead; see the events of the session.',
  },
  blob_missing: {
    retry: 'after_refetch',
    http: 500,
    hint: 'An older snapshot is used instead; see the events of the session.',
  },
  newer_format: {
    retry: 'never',
    http: 500,
    hint: 'A newer version of Mooring wrote this session; update this one, then restart the session.',
  },
  blob_exists: { retry: 'never', http: 409, hint: 'Objects are immutable; a new one needs a new name.' },
  journal_gap: {
    retry: 'after_refetch',
    http: 500,
    hint: 'Entries are missing; an older snapshot may bridge them.',
  },
  no_state: { retry: 'never', http: 409, hint: 'The session was never paired; open a pairing window.' },
  wrong_key: {
    retry: 'never',
    http: 500,
    hint: 'The key-encryption key is not the one this data was sealed with.',
  },
  wrong_passphrase: {
    retry: 'never',
    http: 422,
    hint: 'The bundle can only be opened with the passphrase it was exported with.',
  },
  wrong_recipient: {
    retry: 'never',
    http: 422,
    hint: 'Seal it anew, for the recipient that is meant to open it.',
  },
  bad_age_file: {
    retry: 'never',
    http: 422,
    hint: 'Seal it anew with age, without armor; under a passphrase with a work factor of at most 16.',
  },
  bad_import: {
    retry: 'never',
    http: 422,
    hint: 'Send a bundle of ours or a whole useMultiFileAuthState folder of a paired session.',
  },
  quarantined: {
    retry: 'never',
    http: 422,
    hint: 'Each runner that began it was gone with it. Look at what was sent, and send another one.',
  },
  export_off: {
    retry: 'never',
    http: 409,
    hint: 'The operator decides for whom exports are sealed: MOORING_EXPORT, MOORING_EXPORT_RECIPIENTS.',
  },
  // an address that a tenant names
  address_not_allowed: {
    retry: 'never',
    http: 422,
    hint: 'Name a public address of the web, https or http; a proxy may be one of socks5 too.',
  },
  address_unknown: {
    retry: 'later',
    http: 422,
    hint: 'Check the name; if it was made a moment ago, its name servers may not know it yet.',
  },
  no_answer: {
    retry: 'later',
    http: 502,
    hint: 'Check that the server at the address runs and answers from the internet.',
  },
  answer_too_large: { retry: 'never', http: 422, hint: 'Name the address of something smaller.' },
  // needs a person
  newer_state: {
    retry: 'never',
    http: 409,
    hint: 'Newer, healthy credentials exist. To go back all the same send "force": true.',
  },
  not_running: { retry: 'later', http: 409, hint: 'Start the session first.' },
  config: { retry: 'never', http: 500, hint: 'Correct the setting that is named and start again.' },
} as const satisfies Record<
  string,
  { retry: 'never' | 'later' | 'after_refetch'; http: number; hint: string }
>

export type ErrorCode = keyof typeof ERRORS

/** Which quota refused something (`shared/quotas.ts`), what is taken of it, and how much there is. */
export interface Reached {
  quota: string
  used: number
  allowed: number
}

/**
 * An expected failure. The message says what this layer was doing; the reason below it stays in `cause` and is never
 * pasted into the text, so that a log line has neither doubled text nor secrets of a vendor's error.
 */
export class CodedError extends Error {
  readonly code: ErrorCode
  readonly field: string | undefined
  /** Seconds after which asking again makes sense; becomes `Retry-After`. */
  readonly retryAfterS: number | undefined
  /** What to do about it: the table's words, or better ones where more is known. */
  readonly hint: string
  /** Which quota refused, and how much of it is taken. */
  readonly limit: Reached | undefined

  constructor(
    code: ErrorCode,
    message: string,
    more: {
      cause?: unknown
      field?: string
      retryAfterS?: number
      hint?: string
      limit?: Reached
    } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.name = 'CodedError'
    this.code = code
    this.field = more.field
    this.retryAfterS = more.retryAfterS
    this.hint = more.hint ?? ERRORS[code].hint
    this.limit = more.limit
  }

  get retry(): 'never' | 'later' | 'after_refetch' {
    return ERRORS[this.code].retry
  }
}

export const hasCode = (error: unknown, ...codes: ErrorCode[]): error is CodedError =>
  error instanceof CodedError && codes.includes(error.code)

/** Whatever was thrown, as an `Error`: libraries throw strings and bare objects too. */
export const toError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(`a value that is no Error was thrown: ${typeof thrown}`)
