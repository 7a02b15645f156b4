import { FieldValue, Timestamp } from '@google-cloud/firestore'

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

/** Total: a cursor that is not ours begins at the start of time, so that the page is empty or the whole. */
export function fromCursor(cursor: string): [Timestamp, number] {
  const [seconds, nanoseconds, turn] = cursor.split('.').map(Number)
  const whole = (value: number | undefined): number => (Number.isSafeInteger(value) ? Number(value) : 0)
  return [new Timestamp(whole(seconds), whole(nanoseconds)), whole(turn)]
}
