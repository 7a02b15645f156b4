import type { Clock } from '#shared/clock.ts'
import { bareJid, type SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Bodies } from '#shared/sealing/bodies.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { WriteOf } from '../loop/reporter.ts'
import type { SessionState } from '../state/session-state.ts'
import { InboxDeliverer } from '../app/inbox-deliverer.ts'
import { Inbox } from '../app/inbox.ts'
import { shortName } from '../app/storable-item.ts'
import type { Dropped } from '../whatsapp/dropped.ts'
import type { WhatsAppSocket } from '../whatsapp/socket.ts'
import type { Me } from '../outbox/binding.ts'
import { OutboxSender } from '../outbox/sender.ts'

interface MessageTrafficDeps {
  key: SessionKey
  stores: Pick<Stores, 'feed' | 'outbox'>
  bodies: Bodies
  clock: Clock
  log: Log
  background: (work: () => Promise<void>, of?: WriteOf) => boolean
  /** Counts what strangers send and no session takes. */
  dropped: Dropped
  /** The inbox is empty again. */
  emptied: () => void
  /** What no store can keep is told of where people look for what happened. */
  setAside: (of: 'feed' | 'outbox', why: string, detail: Record<string, string>) => void
}

/** What goes through a session: from its inbox to the feed as long as there is a state, from its outbox while it is open. */
export class MessageTraffic {
  readonly #deps: MessageTrafficDeps
  readonly outbox: OutboxSender
  /** Under which the session is owned, or was last. */
  #epoch = 0
  #inbox: Inbox | undefined
  #deliverer: InboxDeliverer | undefined
  #lastActivityAt: number | undefined

  constructor(deps: MessageTrafficDeps) {
    this.#deps = deps
    const { key, stores, bodies, clock, log, background, setAside, dropped } = deps
    this.outbox = new OutboxSender({
      key,
      store: stores.outbox,
      bodies,
      clock,
      log,
      epoch: () => this.#epoch,
      chatOf: bareJid,
      background,
      setAside: (id, why) => setAside('outbox', why, { message: id }),
      dropped,
    })
  }

  /** Wall clock: the last message that came or was acknowledged. */
  get lastActivityAt(): number | undefined {
    return this.#lastActivityAt
  }

  /** Messages that came in are not in the feed yet. */
  get isDelivering(): boolean {
    return this.#deliverer?.waitingSinceMs !== undefined
  }

  /** What of it waits, each with the monotonic time since when. */
  waiting(): { what: 'inbox' | 'outbox'; sinceMs: number }[] {
    const since = { inbox: this.#deliverer?.waitingSinceMs, outbox: this.outbox.waitingSinceMs }
    return (['inbox', 'outbox'] as const).flatMap((what) => {
      const sinceMs = since[what]
      return sinceMs === undefined ? [] : [{ what, sinceMs }]
    })
  }

  /** There is a state: what a crash left in its inbox is delivered. */
  begin(state: SessionState): Inbox {
    const { key, stores, clock, log, emptied, setAside, dropped } = this.#deps
    this.#epoch = state.epoch
    this.#inbox = new Inbox(state)
    this.#deliverer = new InboxDeliverer({
      key,
      inbox: this.#inbox,
      creds: () => state.storedCreds(),
      dropped,
      store: stores.feed,
      clock,
      log,
      delivered: () => this.#isActive(),
      emptied,
      setAside: ({ id, from }, why) =>
        setAside('feed', why, { message: shortName(id), from: shortName(from) }),
    })
    this.#deliverer.poke()
    return this.#inbox
  }

  get inbox(): Inbox | undefined {
    return this.#inbox
  }

  acknowledged(id: string, error: number | undefined): void {
    this.#isActive()
    this.outbox.acknowledged(id, error)
  }

  /** A message is durable in the inbox. */
  received(): void {
    this.#deliverer?.poke()
  }

  opened(socket: WhatsAppSocket, me: Me): void {
    this.outbox.opened(socket, me)
  }

  /** Delivers what waits now, but no longer than a moment; nothing afterwards. */
  async settle(): Promise<void> {
    await this.#deliverer?.close()
  }

  /** For a lost lease: nothing more is written. */
  abandon(): void {
    this.#deliverer?.abandon()
    this.forget()
  }

  forget(): void {
    this.#inbox = undefined
    this.#deliverer = undefined
  }

  #isActive(): void {
    this.#lastActivityAt = this.#deps.clock.nowMs()
  }
}
