/**
 * What strangers send and a session does not take, by the name under which it is counted (`mooring_runner_dropped_total`):
 * - `device_sent`: a copy of a message of ours, from somebody who is none of our devices
 * - `sender_key`: a sender key for another group than the one it came through, or none that is a key
 * - `receipt`: delivered or read, by somebody to whom that message did not go
 * - `retry`: a request to send a message again, by somebody to whom it did not go
 * - `rate`: receipts and such requests, beyond what one person may send
 * - `waiting`: a receipt, for one more than may wait for a store that is away
 * - `oversized`: a record that grew beyond what one of its kind may take
 * - `evicted`: a record that was longest not used, for one more than its kind or its person may take
 */
export const DROPPED = [
  'device_sent',
  'sender_key',
  'receipt',
  'retry',
  'rate',
  'waiting',
  'oversized',
  'evicted',
] as const

/** Counts one; names no session and no person. */
export type Dropped = (what: (typeof DROPPED)[number]) => void
