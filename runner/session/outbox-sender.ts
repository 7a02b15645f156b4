import { LRUCache } from 'lru-cache'
import type { Clock } from '#shared/clock.ts'
import { hasCode, toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { OutboxMessage, OutboxState, OutboxStore } from '#shared/store/outbox-store.ts'
import { within } from '#shared/within.ts'
import type { Dropped } from '../whatsapp/dropped.ts'
import type { WhatsAppSocket } from '../whatsapp/socket.ts'

/** Messages in work at once; the order of one session's messages is kept by sending them one after the other. */
const BATCH = 50
/** Messages that were sent lately, for peers that ask again; older ones are read from the store. One for all. */
const recent = new LRUCache<string, Pick<OutboxMessage, 'to' | 'text'>>({
  max: 20_000,
  maxSize: 32 * 1024 * 1024,
  sizeCalculation: ({ to, text }) => text.length + to.length + 1,
})
/** Ids that the store was asked for in vain: of the phone's other devices, or somebody's invention. One for all. */
const unknown = new LRUCache<string, true>({ max: 20_000 })
/** An acknowledgement that has not come by then is asked for again by sending the same message under the same id. */
const ACK_WITHIN_MS = 20_000
const TRY_AGAIN_MS = 2_000

/** How ids of ours begin, and those of every WhatsApp Web; receipts of the phone's own messages cost nothing then. */
const OURS = '3EB0'
/** A send that hangs must not hold up a hand-over: unacknowledged, it is sent again by whoever connects next. */
const CLOSE_WITHIN_MS = 2_000

/** What the store refuses to note of a message is remembered here: until it expires there it must not be sent again. */
const ASIDE_MAX = 1_000

/** A message that can't even be put on the wire (no such number, say) is given up after this many tries. */
const TRIES_MAX = 5

export interface OutboxSenderDeps {
  key: SessionKey
  store: OutboxStore
  clock: Clock
  log: Log
  /** Runs a write in the background until it succeeded. */
  background: (work: () => Promise<void>) => void
  /** The store can never note what became of a message; `why` holds nothing of what is in it. */
  setAside: (id: string, why: string) => void
  dropped: Dropped
}

/**
 * Sends what the outbox holds, in order, each under the id it got when it was accepted: a message whose acknowledgement was
 * lost is sent again under the same id, and receivers drop the double. `sent` means the server took it.
 */
export class OutboxSender {
  readonly #deps: OutboxSenderDeps
  /** On the wire and not acknowledged, by id, with the time after which they are sent again. */
  readonly #unacknowledged = new Map<string, number>()
  readonly #tries = new Map<string, number>()
  readonly #aside = new LRUCache<string, true>({ max: ASIDE_MAX })
  /** Monotonic: when a message last left the outbox, or began to wait in it. */
  #movedMs = 0
  #socket: WhatsAppSocket | undefined
  #running: Promise<void> | undefined
  #again = false
  /** The store holds more than one batch: what is acknowledged makes room for the next. */
  #hasMore = false
  #storeFailed = false
  #cancelRetry: (() => void) | undefined

  constructor(deps: OutboxSenderDeps) {
    this.#deps = deps
  }

  /** A connection is open: send what waits. */
  opened(socket: WhatsAppSocket): void {
    this.#socket = socket
    this.#unacknowledged.clear()
    this.#movedMs = this.#deps.clock.monotonicMs()
    this.poke()
  }

  /**
   * Monotonic: since when messages wait without any of them leaving the outbox; `undefined` while none waits or there is no
   * connection. What WhatsApp does not acknowledge waits, however often it was sent.
   */
  get waitingSinceMs(): number | undefined {
    return this.#socket && this.#isWaiting ? this.#movedMs : undefined
  }

  get #isWaiting(): boolean {
    return this.#unacknowledged.size > 0 || this.#hasMore || this.#storeFailed
  }

  /** To be said before something begins to wait. */
  #begins(): void {
    if (!this.#isWaiting) this.#movedMs = this.#deps.clock.monotonicMs()
  }

  /** The send gate closes; resolves when nothing is in work any more, or what is in work hangs. */
  async closed(): Promise<void> {
    this.#socket = undefined
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    await within(this.#deps.clock, CLOSE_WITHIN_MS, this.#running)
  }

  /** Something new may be in the outbox. Harmless at any time. */
  poke(): void {
    if (!this.#socket) return
    if (this.#running) {
      this.#again = true
      return
    }
    this.#running = this.#sendAll().finally(() => {
      this.#running = undefined
      if (this.#again) {
        this.#again = false
        this.poke()
      }
    })
  }

  acknowledged(id: string, error: number | undefined): void {
    if (!this.#unacknowledged.delete(id)) return
    this.#tries.delete(id)
    this.#movedMs = this.#deps.clock.monotonicMs()
    const to: { state: OutboxState; error?: OutboxMessage['error'] } =
      error === undefined ? { state: 'sent' } : { state: 'failed', error: { why: 'refused', code: error } }
    this.#advance(id, to)
  }

  /** Counts for messages that went to whom `isFor` says yes to; anybody can send one for any id. */
  receipt(ids: readonly string[], kind: 'delivered' | 'read', isFor: (to: string) => boolean): void {
    for (const id of ids) {
      if (!id.startsWith(OURS)) continue
      this.#deps.background(async () => {
        // Also of what another process sent before this one: the store knows it.
        const message = await this.#sent(id)
        if (!message) return
        if (isFor(message.to)) await this.#advanced(id, { state: kind })
        else this.#deps.dropped('receipt')
      })
    }
  }

  /** The text of a message of ours to whom `isFor` says yes to, also one that was sent long ago. */
  async sentText(id: string, isFor: (to: string) => boolean): Promise<string | undefined> {
    if (!id.startsWith(OURS)) return undefined
    const message = await this.#sent(id)
    return message && isFor(message.to) ? message.text : undefined
  }

  async #sent(id: string): Promise<Pick<OutboxMessage, 'to' | 'text'> | undefined> {
    const name = this.#name(id)
    const known = recent.get(name)
    if (known || unknown.has(name)) return known
    const stored = await this.#deps.store.get(this.#deps.key, id)
    if (stored) recent.set(name, { to: stored.to, text: stored.text })
    // What is sent meanwhile is among the recent ones, and those come first.
    else unknown.set(name, true)
    return stored
  }

  #name(id: string): string {
    return `${this.#deps.key}|${id}`
  }

  async #sendAll(): Promise<void> {
    const { store, key, clock, log } = this.#deps
    try {
      const pending = await store.pending(key, BATCH)
      for (const message of pending) {
        const socket = this.#socket
        if (!socket) return
        if (this.#aside.has(message.id)) continue
        const againAtMs = this.#unacknowledged.get(message.id)
        if (againAtMs !== undefined && clock.monotonicMs() < againAtMs) continue
        await this.#sendOne(socket, message)
      }
      this.#hasMore = pending.length === BATCH
      this.#storeFailed = false
    } catch (error) {
      log.warn({ error: toError(error), sessionId: key }, 'outbox could not be read; it is tried again')
      this.#begins()
      this.#storeFailed = true
    }
    this.#retryLater()
  }

  async #sendOne(socket: WhatsAppSocket, message: OutboxMessage): Promise<void> {
    const { key, clock, log } = this.#deps
    const { id, to, text } = message
    recent.set(this.#name(id), { to, text })
    if (message.state === 'queued' && !(await this.#isTaken(id))) return
    this.#begins()
    this.#unacknowledged.set(id, clock.monotonicMs() + ACK_WITHIN_MS)
    try {
      await socket.send({ id, to, text, again: message.state !== 'queued' })
    } catch (error) {
      const tries = (this.#tries.get(id) ?? 0) + 1
      this.#tries.set(id, tries)
      this.#unacknowledged.set(id, clock.monotonicMs() + TRY_AGAIN_MS)
      log.warn(
        { error: toError(error), sessionId: key, messageId: id, tries },
        'message could not be put on the wire',
      )
      // While the connection is going away every send fails; that says nothing about the message.
      if (tries < TRIES_MAX || this.#socket !== socket) return
      this.#tries.delete(id)
      this.#unacknowledged.delete(id)
      this.#movedMs = clock.monotonicMs()
      this.#advance(id, { state: 'failed', error: { why: 'not_sendable' } })
    }
  }

  /** Nothing leaves before the store knows that it may have; a message of which it can't is passed over. */
  async #isTaken(id: string): Promise<boolean> {
    const { store, key, clock } = this.#deps
    try {
      await store.advance(key, id, { state: 'sending', nowMs: clock.nowMs() })
      return true
    } catch (error) {
      if (!hasCode(error, 'store_refused')) throw error
      this.#putAside(id, error)
      this.#advance(id, { state: 'failed', error: { why: 'not_storable' } })
      return false
    }
  }

  #putAside(id: string, error: Error): void {
    if (this.#aside.has(id)) return
    this.#aside.set(id, true)
    this.#deps.setAside(id, error.message)
  }

  /** Only while something waits: an idle session keeps no timer. */
  #retryLater(): void {
    if (!this.#socket || this.#cancelRetry) return
    if (this.#unacknowledged.size === 0 && !this.#storeFailed) return
    this.#cancelRetry = this.#deps.clock.after(TRY_AGAIN_MS, () => {
      this.#cancelRetry = undefined
      this.poke()
    })
  }

  #advance(id: string, to: { state: OutboxState; error?: OutboxMessage['error'] }): void {
    this.#deps.background(() => this.#advanced(id, to))
  }

  async #advanced(id: string, to: { state: OutboxState; error?: OutboxMessage['error'] }): Promise<void> {
    const { store, key, clock } = this.#deps
    try {
      await store.advance(key, id, { ...to, nowMs: clock.nowMs() })
    } catch (error) {
      if (!hasCode(error, 'store_refused')) throw error
      this.#putAside(id, error)
    }
    if (this.#hasMore) this.poke()
  }
}
