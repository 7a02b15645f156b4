import type { SessionKey, TenantId } from '../ids.ts'
import type { Page } from './session-store.ts'
import type { Watch } from './watch.ts'

/** In order of progress; `failed` is an end from any of the first three. */
export const OUTBOX_STATES = ['queued', 'sending', 'sent', 'delivered', 'read', 'failed'] as const
export type OutboxState = (typeof OUTBOX_STATES)[number]

/** A message that a user asked to send. Its id is the WhatsApp message id, fixed when it was accepted. */
export interface OutboxMessage {
  id: string
  /** A jid. */
  to: string
  text: string
  state: OutboxState
  createdAt: number
  updatedAt: number
  /** For `failed`: a word, and the code of the server where it gave one. */
  error?: { why: string; code?: number }
}

export interface OutboxStore {
  /**
   * Create-only by id: a repeat of the same id changes nothing and answers what is stored. Durable when it resolves.
   * @throws CodedError `store_refused` when it can never be kept
   */
  enqueue(key: SessionKey, message: OutboxMessage): Promise<OutboxMessage>
  get(key: SessionKey, id: string): Promise<OutboxMessage | undefined>
  /** Newest first; `after` is a cursor of an earlier page. */
  list(key: SessionKey, ask: { after?: string; limit: number }): Promise<Page<OutboxMessage>>
  /** Those in `queued` or `sending`, in the order they were accepted. */
  pending(key: SessionKey, limit: number): Promise<readonly OutboxMessage[]>
  /** How many of a tenant's are in `queued` or `sending`, and about how many bytes they are. */
  waiting(tenant: TenantId): Promise<{ messages: number; bytes: number }>
  /**
   * Moves a message forward; a state that is not ahead of the stored one is ignored, so a late receipt can't undo a later
   * one. Durable when it resolves; a repeat is harmless. Harmless when the message is gone.
   */
  advance(
    key: SessionKey,
    id: string,
    to: { state: OutboxState; error?: OutboxMessage['error']; nowMs: number },
  ): Promise<void>
  /** Removes all of a session, or what is older than `olderThanMs`. Answers how many. */
  sweep(ask: { key?: SessionKey; olderThanMs?: number }): Promise<number>
  /** Calls with the key of every session that got a new message. */
  watch(changed: (key: SessionKey) => void): Watch
}
