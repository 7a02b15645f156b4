import type { Clock } from '#shared/clock.ts'
import { toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { FeedItem, FeedStore } from '#shared/store/feed-store.ts'
import { RefusedItems } from '#shared/store/storable.ts'
import { within } from '#shared/within.ts'
import type { Inbox } from './inbox.ts'

const BATCH = 100
/** A hand-over has ten seconds in all, on Cloud Run. */
const CLOSE_WITHIN_MS = 1_000
const RETRY_MIN_MS = 100
const RETRY_MAX_MS = 10_000

export interface InboxDelivererDeps {
  key: SessionKey
  inbox: Inbox
  /** The session's credentials, to know its own number. */
  creds: () => unknown
  store: FeedStore
  clock: Clock
  log: Log
  delivered: (count: number) => void
}

/**
 * Carries decrypted messages from the session's inbox to the feed that the application reads, in the order of arrival.
 * What a crash left in the inbox goes the same way; the feed takes each message once.
 */
export class InboxDeliverer {
  readonly #deps: InboxDelivererDeps
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  #again = false

  constructor(deps: InboxDelivererDeps) {
    this.#deps = deps
  }

  /** Something durable may wait. Harmless at any time. */
  poke(): void {
    if (this.#stop.signal.aborted) return
    if (this.#running) {
      this.#again = true
      return
    }
    this.#running = this.#deliverAll().finally(() => {
      this.#running = undefined
      if (this.#again) {
        this.#again = false
        this.poke()
      }
    })
  }

  /** Delivers what waits now, but no longer than a moment: what is left lies in the inbox and goes with the state. */
  async close(): Promise<void> {
    await within(this.#deps.clock, CLOSE_WITHIN_MS, this.#running)
    this.#stop.abort()
  }

  /** For a lost lease: nothing more is written. */
  abandon(): void {
    this.#stop.abort()
  }

  async #deliverAll(): Promise<void> {
    const { inbox, creds, clock, log, key, delivered } = this.#deps
    for (let waitMs = RETRY_MIN_MS; !this.#stop.signal.aborted;) {
      const waiting = inbox.waiting(creds(), BATCH)
      if (waiting.length === 0) return
      try {
        const items = waiting.flatMap(({ item }): FeedItem[] => (item ? [item] : []))
        if (items.length > 0) await this.#add(items)
        await inbox.delivered(waiting.map(({ id }) => id))
        delivered(items.length)
        waitMs = RETRY_MIN_MS
      } catch (error) {
        log.warn(
          { error: toError(error), sessionId: key },
          'messages could not be handed to the feed; it is tried again',
        )
        await clock.sleep(waitMs, this.#stop.signal).catch(() => undefined)
        waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)
      }
    }
  }

  /** What no store can keep must not hold up what came after it: such a message is told of without its text. */
  async #add(items: readonly FeedItem[]): Promise<void> {
    const { store, clock, log, key } = this.#deps
    try {
      await store.add(key, items, clock.nowMs())
    } catch (error) {
      if (!(error instanceof RefusedItems)) throw error
      const { items: refused } = error
      log.error(
        { error, sessionId: key, refused: refused.length },
        'the feed can never keep the text of a message',
      )
      const kept = items.map((item, index) => (refused.includes(index) ? withoutText(item) : item))
      await store.add(key, kept, clock.nowMs())
    }
  }
}

const withoutText = ({ id, from, chat, at }: FeedItem): FeedItem => ({
  id,
  from,
  chat,
  at,
  kind: 'unstorable',
})
