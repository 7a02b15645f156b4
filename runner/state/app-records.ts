import type { Change } from './pending-changes.ts'
import { decodeValue, encodeValue, recordKey } from './record.ts'
import { RecordMap } from './record-map.ts'

/**
 * The records of the application (messages that it does not have yet, and how far it has them) lie in the session's state,
 * because a decrypted message must become durable in the same write as its ratchet step. They belong to no identity: a
 * message that was receipted is owed whatever becomes of the credentials. So a reset and a replaced state keep those of the
 * live state, and what is kept to go back to, or carried elsewhere, is written without them (docs/design/state.md §6.3).
 */
export const APP_TYPE = 'app'
const APP_PREFIX = recordKey(APP_TYPE, '')
/** The messages, by a number that sorts in the order of arrival. */
export const INBOX_PREFIX = `${APP_PREFIX}inbox/`
/** Up to which of them the application has them all. */
export const POSITION_KEY = `${APP_PREFIX}position`
/** Which accounts phone numbers are (runner/whatsapp/number-lookup.ts), by their digits. */
export const NUMBER_PREFIX = `${APP_PREFIX}number/`
/** Wide enough to sort as text; a session receives fewer messages than this in its life. */
const NUMBER_DIGITS = 12
export const numberText = (number: number): string => String(number).padStart(NUMBER_DIGITS, '0')

/** Where the same lay until 2026-11-28, among the records of the identity. */
const OLD_INBOX_PREFIX = recordKey('inbox', '')
const OLD_POSITION_KEY = recordKey('inbox-mark', '')

/** All of them, as changes that make them anew. */
export const appRecords = (records: RecordMap): readonly Change[] => [...records.entries(APP_PREFIX)]

/** A copy of the records without them, also without those of old. */
export function withoutApp(records: RecordMap): RecordMap {
  const rest = new RecordMap()
  for (const [key, value] of records.entries()) if (!isOfApp(key)) rest.set(key, value)
  return rest
}

/** Puts those of one state in the place of those that another one came with. */
export function carryApp(from: RecordMap, into: RecordMap): void {
  for (const prefix of [APP_PREFIX, OLD_INBOX_PREFIX, OLD_POSITION_KEY])
    for (const [key] of [...into.entries(prefix)]) into.set(key, null)
  for (const [key, value] of appRecords(from)) into.set(key, value)
}

/**
 * The changes that move what lies where it lay until 2026-11-28; none once that is done. Messages keep their numbers, or
 * come behind those that are there already.
 */
export function moveOldApp(records: RecordMap): readonly Change[] {
  const old = [...records.entries(OLD_INBOX_PREFIX)]
  const oldPosition = records.get(OLD_POSITION_KEY)
  if (old.length === 0 && oldPosition === undefined) return []
  const position = records.get(POSITION_KEY)
  const hasOwn = position !== undefined || records.entries(INBOX_PREFIX).next().done !== true
  const through = oldPosition === undefined ? '' : String(decodeValue(oldPosition))
  let last = Math.max(
    Number(position === undefined ? 0 : decodeValue(position)),
    ...[...records.entries(INBOX_PREFIX)].map(([key]) => Number(key.slice(INBOX_PREFIX.length))),
    0,
  )
  const changes: Change[] = []
  for (const [key, value] of old) {
    const id = key.slice(OLD_INBOX_PREFIX.length)
    changes.push([key, null])
    if (!hasOwn) changes.push([INBOX_PREFIX + id, value])
    // What was delivered among them is known to the feed; numbered anew it would be delivered again.
    else if (id > through) changes.push([INBOX_PREFIX + numberText(++last), value])
  }
  if (oldPosition !== undefined) {
    changes.push([OLD_POSITION_KEY, null])
    if (!hasOwn) changes.push([POSITION_KEY, encodeValue(through)])
  }
  return changes
}

const isOfApp = (key: string): boolean =>
  key.startsWith(APP_PREFIX) || key.startsWith(OLD_INBOX_PREFIX) || key === OLD_POSITION_KEY
