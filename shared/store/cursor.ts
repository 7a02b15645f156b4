import { CodedError } from '../errors.ts'
import { isName } from '../ids.ts'

/**
 * Cursors are opaque to clients, and each is refused where it can't be one of ours: a page that begins at a place that nobody
 * named would be told as if it were the right one.
 */
export const badCursor = (field = 'after'): CodedError =>
  new CodedError('invalid_field', `${field} must be a cursor of an earlier page.`, { field })

/** Of a list of sessions: the tenant and the name of the last one. @throws CodedError `invalid_field` */
export function parseNameCursor(after: string, tenant?: string): string {
  const names = after.split('~')
  const isOurs = names.length === 2 && names.every(isName) && (tenant === undefined || names[0] === tenant)
  if (!isOurs) throw badCursor()
  return after
}

/** The time in milliseconds, with leading zeros, and what tells two of one millisecond apart. */
const EVENT_ID = /^\d{10,15}-[\w.-]{0,64}$/

/** The id of an event of the audit trail. @throws CodedError `invalid_field` that names `field` */
export function parseEventCursor(after: string, field = 'after'): string {
  if (!EVENT_ID.test(after)) throw badCursor(field)
  return after
}
