/** The record's own states. What comes after `sent` is no state of it: receipts say how far it came. */
export const OUTBOX_STATES = ['queued', 'taken', 'sent', 'failed', 'withdrawn'] as const
export type OutboxState = (typeof OUTBOX_STATES)[number]

/** Still to be sent, or to be acknowledged. */
export const isOpen = (state: OutboxState): boolean => state === 'queued' || state === 'taken'

/** How far a message came after it was sent, in the order of progress. */
export const REACHED = ['delivered', 'read', 'played'] as const
export type Reached = (typeof REACHED)[number]

/** A message that a user asked to send. Its id is the WhatsApp message id, fixed when it was accepted. */
export interface OutboxMessage {
  id: string
  /** A jid, as it was asked for. */
  to: string
  state: OutboxState
  /** Unix milliseconds, by the clock of who accepted it. The order of messages is the store's, whatever this says. */
  acceptedAt: number
  updatedAt: number
  /** Unix milliseconds; what has not been sent by then never is. Absent on what 341e3f4 accepted, which waits for ever. */
  expiresAt?: number
  /** Whose it is: the session's own jid when it was accepted, or at the first pairing after that. Sent by no other. */
  account?: string
  /** What was asked for, sealed (`shared/sealing/outbox-bodies.ts`). Absent on what 341e3f4 accepted, which has `text`. */
  request?: Uint8Array
  /** In clear, of what 341e3f4 accepted. Nothing writes it any more. */
  text?: string
  /** The chat key; since it was taken. */
  chat?: string
  /** The WhatsApp message as it is encrypted, sealed; since it was taken. Never exchanged: whoever sends sends this. */
  prepared?: Uint8Array
  /** The epoch of the owner that took it last. */
  epoch?: number
  /** For `failed`: a word, and the code of the server where it gave one. */
  error?: { why: string; code?: number }
  /** How far a receipt says that it came. */
  reached?: Reached
}

/** One that waits to be sent, or for the acknowledgement. */
export interface WaitingMessage extends OutboxMessage {
  /** Where it stands in the order of acceptance: greater text is later. Goes as `after` into `pending`. */
  place: string
}

const EARLIER_STATES: Readonly<Record<string, Pick<OutboxMessage, 'state' | 'reached'>>> = {
  sending: { state: 'taken' },
  delivered: { state: 'sent', reached: 'delivered' },
  read: { state: 'sent', reached: 'read' },
}

/** A record as a store has it, also as 341e3f4 wrote it: with other words for the states, `createdAt`, and its text in clear. */
export function readOutboxMessage(stored: object): OutboxMessage {
  const { createdAt, ...record } = stored as OutboxMessage & { createdAt?: number }
  return {
    ...record,
    ...(createdAt !== undefined && { acceptedAt: createdAt }),
    ...EARLIER_STATES[record.state],
  }
}
