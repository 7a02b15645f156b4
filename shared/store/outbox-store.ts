import type { SessionKey, TenantId } from '../ids.ts'
import type { OutboxMessage, WaitingMessage } from './outbox-message.ts'
import type { OutboxMove } from './outbox-moves.ts'
import type { Page } from './session-store.ts'
import type { Watch } from './watch.ts'

export interface OutboxStore {
  /**
   * Create-only by id: a repeat of the same id changes nothing and answers what is stored. Durable when it resolves.
   * @throws CodedError `store_refused` when it can never be kept
   */
  enqueue(key: SessionKey, message: OutboxMessage): Promise<OutboxMessage>
  get(key: SessionKey, id: string): Promise<OutboxMessage | undefined>
  /** Newest first; `after` is a cursor of an earlier page. */
  list(key: SessionKey, ask: { after?: string; limit: number }): Promise<Page<OutboxMessage>>
  /** Those in `queued` or `taken`, in the order in which the store accepted them; `after` is a place. */
  pending(key: SessionKey, ask: { limit: number; after?: string }): Promise<readonly WaitingMessage[]>
  /** How many of a tenant's are in `queued` or `taken`, and about how many bytes they are. */
  waiting(tenant: TenantId): Promise<{ messages: number; bytes: number }>
  /**
   * Moves a message on, if the table of moves allows it from the state that is stored then. Answers what is stored
   * afterwards, or `undefined` when the message is gone. Durable when it resolves; a repeat is harmless, also one whose
   * answer was lost.
   * @throws CodedError `state_changed` (not from there), `fenced` (a higher epoch took it), `store_refused` (never kept)
   */
  move(key: SessionKey, id: string, move: OutboxMove): Promise<OutboxMessage | undefined>
  /** Removes all of a session, or what is older than `olderThanMs`. Answers how many. */
  sweep(ask: { key?: SessionKey; olderThanMs?: number }): Promise<number>
  /** Calls with the key of every session that got a new message, and with the message where the store brings it anyway. */
  watch(changed: (key: SessionKey, message?: WaitingMessage) => void): Watch
}
