import { LRUCache } from 'lru-cache'
import type { Clock } from '#shared/clock.ts'
import { CodedError, hasCode, toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { FeedItem, FeedStore } from '#shared/store/feed-store.ts'
import { RefusedItems } from '#shared/store/storable.ts'
import { within } from '#shared/within.ts'
import type { Dropped } from '../whatsapp/dropped.ts'
import type { Inbox } from './inbox.ts'
import { lessOf } from './storable-item.ts'

const BATCH = 100
/** A hand-over has ten seconds in all, on Cloud Run. */
const CLOSE_WITHIN_MS = 1_000
const RETRY_MIN_MS = 100
const RETRY_MAX_MS = 10_000
/** A stranger may send many; to tell of one twice is harmless. */
const TOLD_MAX = 1_000

export interface InboxDelivererDeps {
  key: SessionKey
  inbox: Inbox
  /** The session's credentials, to know its own number. */
  creds: () => unknown
  store: FeedStore
  clock: Clock
  log: Log
  delivered: (count: number) => void
  /** Nothing waits any more. */
  emptied: () => void
  /** The feed has at most a line that says that there was this message; `why` holds nothing of what is in it. */
  setAside: (item: FeedItem, why: string) => void
  dropped: Dropped
}

/**
 * Carries decrypted messages from the session's inbox to the feed that the application reads, in the order of arrival.
 * What a crash left in the inbox goes the same way; the feed takes each message once.
 */
export class InboxDeliverer {
  readonly #deps: InboxDelivererDeps
  readonly #stop = new AbortController()
  /** What was set aside, by sender and id. */
  readonly #told = new LRUCache<string, true>({ max: TOLD_MAX })
  /** Monotonic: since then something waits, and nothing was delivered. */
  #sinceMs: number | undefined
  #running: Promise<void> | undefined
  #again = false

  constructor(deps: InboxDelivererDeps) {
    this.#deps = deps
  }

  /** Something durable may wait. Harmless at any time. */
  poke(): void {
    if (this.#stop.signal.aborted) return
    this.#sinceMs ??= this.#deps.clock.monotonicMs()
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

  /** Monotonic: since when messages wait without any of them being delivered; `undefined` while none waits. */
  get waitingSinceMs(): number | undefined {
    return this.#deps.inbox.hasWaiting ? (this.#sinceMs ?? this.#deps.clock.monotonicMs()) : undefined
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
    const { inbox, creds, clock, log, key, delivered, emptied } = this.#deps
    let isEmptied = false
    for (let waitMs = RETRY_MIN_MS; !this.#stop.signal.aborted;) {
      const waiting = inbox.waiting(creds(), BATCH)
      if (waiting.length === 0) {
        this.#sinceMs = undefined
        if (isEmptied) emptied()
        return
      }
      try {
        const items = waiting.flatMap(({ item }): FeedItem[] => (item ? [item] : []))
        if (items.length > 0) await this.#add(items)
        await inbox.delivered(waiting.map(({ id }) => id))
        for (const { isForged } of waiting) if (isForged) this.#deps.dropped('device_sent')
        delivered(items.length)
        isEmptied = true
        this.#sinceMs = clock.monotonicMs()
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

  /**
   * What a store refuses for good must not hold up what came after it: it is found, kept as far as it can be, or set aside
   * with its reason; the others go on in their order.
   */
  async #add(items: readonly FeedItem[]): Promise<void> {
    const { store, clock, key } = this.#deps
    if (this.#stop.signal.aborted) throw new CodedError('closed', 'deliver messages: it was ended')
    try {
      await store.add(key, items, clock.nowMs())
    } catch (error) {
      if (!hasCode(error, 'store_refused')) throw error
      const meant = refusedOf(error, items.length)
      if (meant) {
        const rest = items.flatMap((item, index) => (meant.has(index) ? this.#lessOf(item, error) : [item]))
        if (rest.length > 0) await this.#add(rest)
        return
      }
      const half = items.length >> 1
      await this.#add(items.slice(0, half))
      await this.#add(items.slice(half))
    }
  }

  #lessOf(item: FeedItem, error: CodedError): FeedItem[] {
    const { log, key, setAside } = this.#deps
    const less = lessOf(item)
    const name = `${item.from} ${item.id}`
    // A batch whose other items meet a store in trouble comes again, and with it what was told already.
    const isTold = this.#told.has(name)
    if (less?.altered === undefined && !isTold) {
      log.error({ error, sessionId: key }, 'a message was set aside: the feed can never keep it')
      setAside(item, error.message)
      this.#told.set(name, true)
    }
    return less ? [less] : []
  }
}

/** Which ones a refusal means; `undefined` when the store does not say. */
function refusedOf(error: CodedError, count: number): ReadonlySet<number> | undefined {
  if (error instanceof RefusedItems && error.items.length > 0) return new Set(error.items)
  return count === 1 ? new Set([0]) : undefined
}
