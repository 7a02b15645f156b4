import type { SessionKey } from '../ids.ts'

/** A message that a session received, as the application reads it. */
export interface FeedItem {
  /** The WhatsApp message id. */
  id: string
  /** Who wrote it: a jid without device. */
  from: string
  /** The chat: a jid of a person or a group. */
  chat: string
  /** Absent where the message has no text; `kind` says what it is then. */
  text?: string
  /** What was done to `text` because no store keeps it as it came: `characters` were replaced, its end was `cut` off. */
  altered?: readonly ('characters' | 'cut')[]
  /** `text`, or the name of the content (`imageMessage` …); `unstorable` where nothing but this could be kept. */
  kind: string
  /** Milliseconds since 1970, by WhatsApp. */
  at: number
}

/** What the application reads: in the order of `cursor`, each message once. */
export interface FeedStore {
  /**
   * Adds messages in order, each once per (`from`, `id`): one that is there already is left as it is. The cursor of a new
   * one is higher than that of every item that a reader could have seen before. The session's owner is its only writer.
   * Durable when it resolves; a repeat is harmless.
   * @throws RefusedItems (`store_refused`) naming by their places the items that can never be kept, at least one of them;
   *   any of the others may have been added. The caller sets those aside and repeats the call with the rest
   */
  add(key: SessionKey, items: readonly FeedItem[], nowMs: number): Promise<void>
  /** Items after the cursor (from the oldest without one), ascending. `next` is the cursor to ask with next time. */
  list(
    key: SessionKey,
    ask: { after?: string; limit: number },
  ): Promise<{ items: readonly (FeedItem & { cursor: string })[]; next?: string }>
  /** Removes all of a session, or what was added before `olderThanMs`. Answers how many. */
  sweep(ask: { key?: SessionKey; olderThanMs?: number }): Promise<number>
}
