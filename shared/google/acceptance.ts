import { FieldValue, Timestamp } from '@google-cloud/firestore'
import { badCursor } from '../store/cursor.ts'

/**
 * The order in which things were accepted, over all instances of control: the server's time of the write, and a counter
 * for what one process wrote within one tick of it (the emulator's clock has milliseconds; docs/facts/google-cloud.md
 * §2.2).
 */
export interface Accepted {
  accepted: Timestamp
  turn: number
}

export function createAcceptance(): () => { accepted: FieldValue; turn: number } {
  let turn = 0
  return () => ({ accepted: FieldValue.serverTimestamp(), turn: ++turn })
}

/** Where a page ended, as text for clients; they must not look inside. */
export const toCursor = ({ accepted, turn }: Accepted): string =>
  `${accepted.seconds}.${accepted.nanoseconds}.${turn}`

/** The same as text that sorts in that order, and is a cursor too. */
export const toPlace = ({ accepted, turn }: Accepted): string =>
  [
    String(accepted.seconds).padStart(12, '0'),
    String(accepted.nanoseconds).padStart(9, '0'),
    String(turn).padStart(12, '0'),
  ].join('.')

/** @throws CodedError `invalid_field` for what none of our pages gave */
export function fromCursor(cursor: string): [Timestamp, number] {
  const [seconds, nanoseconds, turn] = /^\d{1,12}\.\d{1,9}\.\d{1,12}$/.test(cursor)
    ? cursor.split('.').map(Number)
    : []
  if (seconds === undefined || nanoseconds === undefined || turn === undefined) throw badCursor()
  return [new Timestamp(seconds, nanoseconds), turn]
}
