import type { Clock } from '#shared/clock.ts'
import { hasCode } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import { REACHED, type Reached } from '#shared/store/outbox-message.ts'
import type { OutboxStore } from '#shared/store/outbox-store.ts'
import type { Dropped } from '../whatsapp/dropped.ts'
import type { SentMessages } from './sent-messages.ts'

/** A chat that is opened after a day brings hundreds of receipts within a moment: what they say of one message is one write. */
const GATHERED_FOR_MS = 1_000

export interface Receipt {
  ids: readonly string[]
  kind: Reached
  /** Whether it counts for a message to this recipient; anybody can send one for any id. */
  isFor: (to: string) => boolean
}

interface ReceiptsDeps {
  sent: Pick<SentMessages, 'find'>
  clock: Clock
  dropped: Dropped
  /** Runs a write in the background until it succeeded. False: it does not, too many of others wait already. */
  background: (work: () => Promise<void>) => boolean
  store: Pick<OutboxStore, 'move'>
  key: SessionKey
  epoch: () => number
  /** The store can never note it. */
  putAside: (id: string, error: Error) => void
}

/** What the devices of others say of messages of ours, gathered for a second and then told. */
export class Receipts {
  readonly #deps: ReceiptsDeps
  /** By id, in the order in which they came. */
  #gathered = new Map<string, Reached>()
  #cancel: (() => void) | undefined

  constructor(deps: ReceiptsDeps) {
    this.#deps = deps
  }

  came({ ids, kind, isFor }: Receipt): void {
    const { sent, dropped } = this.#deps
    for (const id of ids)
      this.#write(async () => {
        // Also of what another process sent before this one: the store knows it.
        const message = await sent.find(id)
        if (!message) return
        if (isFor(message.to)) this.#gather(id, kind)
        else dropped('receipt')
      })
  }

  /** Tells what was gathered, without waiting for more. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const gathered = this.#gathered
    this.#gathered = new Map()
    for (const [id, reached] of gathered) this.#write(() => this.#tell(id, reached))
  }

  /** Anybody can make receipts, so those that wait for a store that is away are not without number. */
  #write(work: () => Promise<void>): void {
    const { background, dropped } = this.#deps
    if (!background(work)) dropped('waiting')
  }

  /** Notes how far a message came; a repeat is harmless. @throws CodedError `store_unavailable` */
  async #tell(id: string, reached: Reached): Promise<void> {
    const { key, store, clock, epoch, putAside } = this.#deps
    try {
      await store.move(key, id, { to: 'sent', reached, epoch: epoch(), nowMs: clock.nowMs() })
    } catch (error) {
      // It failed here, or was withdrawn: no device can have it. Or it is somebody else's to tell by now.
      if (hasCode(error, 'store_refused')) putAside(id, error)
      else if (!hasCode(error, 'state_changed', 'fenced')) throw error
    }
  }

  #gather(id: string, kind: Reached): void {
    const before = this.#gathered.get(id)
    this.#gathered.set(id, REACHED.findLast((one) => one === kind || one === before) ?? kind)
    this.#cancel ??= this.#deps.clock.after(GATHERED_FOR_MS, () => this.flush())
  }
}
