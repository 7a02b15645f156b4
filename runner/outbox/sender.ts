import { LRUCache } from 'lru-cache'
import type { Clock } from '#shared/clock.ts'
import { hasCode, toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Bodies } from '#shared/sealing/bodies.ts'
import type { WaitingMessage } from '#shared/store/outbox-message.ts'
import type { OutboxMove } from '#shared/store/outbox-moves.ts'
import type { OutboxStore } from '#shared/store/outbox-store.ts'
import { within } from '#shared/within.ts'
import type { WriteOf } from '../loop/reporter.ts'
import type { Dropped } from '../whatsapp/dropped.ts'
import type { WhatsAppSocket } from '../whatsapp/socket.ts'
import { accountOf, bindWaiting, isBindable, isOfAccount, type Me } from './binding.ts'
import { decide } from './lanes.ts'
import { Receipts, type Receipt } from './receipts.ts'
import { SentMessages } from './sent-messages.ts'
import { takeMessage } from './taking.ts'
import { OutboxWindow, type Item } from './window.ts'

/** An acknowledgement that has not come by then is asked for again by sending the same message under the same id. */
const ACK_WITHIN_MS = 20_000
/** After a failure, doubled with each that follows, until the message expires. */
const TRY_AGAIN_MS = 2_000
const TRY_AGAIN_MAX_MS = 300_000
/** A send that hangs must not hold up a hand-over: unacknowledged, it is sent again by whoever connects next. */
const CLOSE_WITHIN_MS = 2_000
/** What the store refuses to note of a message is remembered here: until it expires there it must not be sent again. */
const ASIDE_MAX = 1_000
/** No timer is set for longer: a wall clock may be set meanwhile. */
const LOOK_AGAIN_MS = 3_600_000

export interface OutboxSenderDeps {
  key: SessionKey
  store: OutboxStore
  bodies: Bodies
  clock: Clock
  log: Log
  /** Under which the session is owned now, or was last. */
  epoch: () => number
  /** The chat that an address belongs to. */
  chatOf: (to: string) => string
  /** Runs a write in the background until it succeeded, or the store says that it never will. False: it does not, too many wait. */
  background: (work: () => Promise<void>, of?: WriteOf) => boolean
  /** The store can never note what became of a message; `why` holds nothing of what is in it. */
  setAside: (id: string, why: string) => void
  dropped: Dropped
}

/**
 * Sends what the outbox holds: each message is prepared and taken in one conditional write, put on the wire after what was
 * accepted before it in its chat, and forgotten when it is stored that the server acknowledged it. Under the id it was
 * accepted with it may be sent again, always in the form it was taken with; receivers drop the double.
 */
export class OutboxSender {
  readonly #deps: OutboxSenderDeps
  readonly #window: OutboxWindow
  readonly #sent: SentMessages
  readonly #receipts: Receipts
  readonly #aside = new LRUCache<string, true>({ max: ASIDE_MAX })
  /** What is under way: takes, the one send, what is being stored. */
  readonly #work = new Set<Promise<void>>()
  #socket: WhatsAppSocket | undefined
  #me: Me | undefined
  #isBound = false
  /** Monotonic: when a message last left the outbox, or began to wait in it. */
  #movedMs = 0
  /** Monotonic: the store could not be read, and is asked again then. */
  #loadAgainMs: number | undefined
  #isPumping = false
  #cancel: (() => void) | undefined

  constructor(deps: OutboxSenderDeps) {
    this.#deps = deps
    const { key, store, bodies, clock, background, dropped, chatOf } = deps
    this.#window = new OutboxWindow({ key, store, laneOf: chatOf, isAside: (id) => this.#aside.has(id) })
    this.#sent = new SentMessages({ key, store, bodies })
    this.#receipts = new Receipts({
      sent: this.#sent,
      clock,
      dropped,
      background: (work) => background(work, 'others'),
      store,
      key,
      epoch: deps.epoch,
      putAside: (id, error) => this.#putAside(id, error),
    })
  }

  /** A connection of this account is open: send what waits. What was on the wire of another one is sent again. */
  opened(socket: WhatsAppSocket, me: Me): void {
    this.#socket = socket
    this.#me = me
    this.#isBound = false
    for (const item of this.#window.items) {
      if (item.stage === 'over' || item.stage === 'taking') continue
      const isOurs = item.prepared !== undefined && item.message.epoch === this.#deps.epoch()
      item.stage = isOurs ? 'ready' : 'waiting'
      item.notBeforeMs = 0
    }
    this.#window.restart()
    this.#movedMs = this.#deps.clock.monotonicMs()
    this.#pump()
  }

  /**
   * Monotonic: since when messages wait without any of them leaving the outbox; `undefined` while none waits or there is no
   * connection. What WhatsApp does not acknowledge waits, however often it was sent.
   */
  get waitingSinceMs(): number | undefined {
    return this.#socket && this.#isWaiting ? this.#movedMs : undefined
  }

  get #isWaiting(): boolean {
    return this.#loadAgainMs !== undefined || this.#window.items.length > 0
  }

  /** The send gate closes; resolves when what is under way is stored, or hangs. What is left is the next connection's. */
  async closed(): Promise<void> {
    this.#socket = undefined
    this.#cancel?.()
    this.#cancel = undefined
    this.#receipts.flush()
    await within(this.#deps.clock, CLOSE_WITHIN_MS, Promise.all(this.#work))
  }

  /** Something new is in the outbox, perhaps; the message itself, where it is known. Harmless at any time. */
  poke(message?: WaitingMessage): void {
    if (!this.#socket) return
    if (!this.#isWaiting) this.#movedMs = this.#deps.clock.monotonicMs()
    this.#window.hear(message)
    this.#pump()
  }

  /** The server took a message, or refused it with a code. */
  acknowledged(id: string, error: number | undefined): void {
    const item = this.#window.get(id)
    if (!item || item.stage === 'over') return
    if (error === undefined) this.#end(item, { to: 'sent' })
    else this.#end(item, { to: 'failed', error: { why: 'refused', code: error } })
  }

  receipt(receipt: Receipt): void {
    this.#receipts.came(receipt)
  }

  /** What was encrypted under an id, to whom `isFor` says yes to; also of what was sent long ago. */
  async sentMessage(id: string, isFor: (to: string) => boolean): Promise<Uint8Array | undefined> {
    const message = await this.#sent.find(id)
    return message && isFor(message.to) ? message.prepared : undefined
  }

  /** Does all that can be done now. Whatever ends calls it again. */
  #pump(): void {
    if (this.#isPumping || !this.#socket) return
    this.#isPumping = true
    const { clock } = this.#deps
    const now = { monotonicMs: clock.monotonicMs(), nowMs: clock.nowMs() }
    const loadInMs = (this.#loadAgainMs ?? 0) - now.monotonicMs
    if (loadInMs <= 0 && this.#window.wantsMore) this.#track(this.#load())
    const { expired, take, send, againInMs } = decide(this.#window.items, now)
    for (const item of expired) this.#end(item, { to: 'failed', error: { why: 'expired' } })
    for (const item of take) this.#track(this.#take(item, this.#socket))
    if (send) this.#track(this.#send(send, this.#socket))
    this.#isPumping = false
    this.#lookAgainIn(Math.min(againInMs ?? Infinity, loadInMs > 0 ? loadInMs : Infinity))
  }

  /** Only while something waits: an idle session keeps no timer. */
  #lookAgainIn(ms: number): void {
    this.#cancel?.()
    this.#cancel = undefined
    if (ms === Infinity) return
    this.#cancel = this.#deps.clock.after(Math.min(ms, LOOK_AGAIN_MS), () => this.#pump())
  }

  #track(work: Promise<void>): void {
    const run = work.finally(() => {
      this.#work.delete(run)
      this.#pump()
    })
    this.#work.add(run)
  }

  async #load(): Promise<void> {
    const { log, key, store, clock, epoch } = this.#deps
    try {
      await this.#window.load()
      this.#loadAgainMs = undefined
      const isUnbound = this.#window.items.some(({ message }) => isBindable(message))
      if (!isUnbound || this.#isBound || !this.#me) return
      this.#isBound = true
      const move: OutboxMove = {
        to: 'queued',
        account: accountOf(this.#me),
        epoch: epoch(),
        nowMs: clock.nowMs(),
      }
      this.#deps.background(() => bindWaiting(store, key, move))
    } catch (error) {
      log.warn({ error: toError(error), sessionId: key }, 'outbox could not be read; it is tried again')
      if (!this.#isWaiting) this.#movedMs = clock.monotonicMs()
      this.#loadAgainMs = clock.monotonicMs() + TRY_AGAIN_MS
    }
  }

  /** Nothing leaves before it is stored who sends it, and in which form. */
  async #take(item: Item, socket: WhatsAppSocket): Promise<void> {
    const { clock, key, log, epoch } = this.#deps
    const { id, message, lane } = item
    if (!isOfAccount(message, this.#me))
      return this.#end(item, { to: 'failed', error: { why: 'account_changed' } })
    item.stage = 'taking'
    try {
      const account = this.#me && accountOf(this.#me)
      const by = { epoch: epoch(), account, nowMs: clock.nowMs() }
      const taking = await takeMessage(this.#deps, { message, lane, by }, socket)
      if (taking.is === 'gone') return this.#forget(item)
      if (taking.is === 'failed') {
        if (taking.aside) this.#putAside(id, taking.aside)
        return this.#end(item, { to: 'failed', error: { why: taking.why } })
      }
      item.prepared = taking.prepared
      item.message = taking.message
      item.stage = 'ready'
      item.tries = 0
      this.#window.release(item)
      const { to, chat = lane } = taking.message
      this.#sent.note(id, { to, chat, prepared: taking.prepared })
    } catch (error) {
      log.warn({ error: toError(error), sessionId: key, messageId: id }, 'message could not be taken')
      this.#failed(item, 'waiting')
    }
  }

  /** It is tried again, the later the more often it failed; until it is over its lane makes room for the others. */
  #failed(item: Item, stage: 'waiting' | 'ready'): void {
    item.stage = stage
    const waitMs = Math.min(TRY_AGAIN_MS * 2 ** item.tries++, TRY_AGAIN_MAX_MS)
    item.notBeforeMs = this.#deps.clock.monotonicMs() + waitMs
    this.#window.hold(item.lane)
  }

  async #send(item: Item, socket: WhatsAppSocket): Promise<void> {
    const { key, clock, log } = this.#deps
    const { id, message, prepared, isAgain } = item
    if (!prepared || !isOfAccount(message, this.#me))
      return this.#end(item, { to: 'failed', error: { why: 'account_changed' } })
    item.stage = 'sending'
    item.isAgain = true
    try {
      await socket.send({ id, to: message.to, prepared, again: isAgain })
      if (item.stage !== 'sending' || this.#socket !== socket) return
      item.stage = 'on_wire'
      item.notBeforeMs = clock.monotonicMs() + ACK_WITHIN_MS
      item.tries = 0
      this.#window.release(item)
    } catch (error) {
      log.warn(
        { error: toError(error), sessionId: key, messageId: id, tries: item.tries + 1 },
        'message could not be put on the wire',
      )
      // While the connection is going away every send fails; that says nothing about the message.
      if (item.stage !== 'sending' || this.#socket !== socket) return
      this.#failed(item, 'ready')
    }
  }

  /** What became of it is known. It stays until that is stored: until then the store lists it as one to send. */
  #end(item: Item, to: Pick<OutboxMove, 'to' | 'error'>): void {
    item.stage = 'over'
    this.#movedMs = this.#deps.clock.monotonicMs()
    this.#window.release(item)
    const stored = Promise.withResolvers<void>()
    this.#store(item, to, stored.resolve)
    this.#track(stored.promise)
  }

  /** Where too many writes of the session wait already it is offered again later: forgotten, it would be sent once more. */
  #store(item: Item, to: Pick<OutboxMove, 'to' | 'error'>, stored: () => void): void {
    const { key, store, clock, background, epoch } = this.#deps
    const isTaken = background(async () => {
      try {
        await store.move(key, item.id, { ...to, epoch: epoch(), nowMs: clock.nowMs() })
      } catch (error) {
        if (hasCode(error, 'store_unavailable', 'overloaded')) throw error
        if (hasCode(error, 'store_refused')) this.#putAside(item.id, error)
      }
      this.#window.remove(item)
      stored()
    })
    if (!isTaken) clock.after(TRY_AGAIN_MS, () => this.#store(item, to, stored))
  }

  /** Not ours to send any more. */
  #forget(item: Item): void {
    item.stage = 'over'
    this.#window.release(item)
    this.#window.remove(item)
  }

  #putAside(id: string, error: Error): void {
    if (this.#aside.has(id)) return
    this.#aside.set(id, true)
    this.#deps.setAside(id, error.message)
  }
}
