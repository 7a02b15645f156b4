import type { Clock } from '#shared/clock.ts'
import { REACHED, type Reached } from '#shared/store/outbox-message.ts'
import type { Dropped } from '../whatsapp/dropped.ts'
import type { SentMessage, SentMessages } from './sent-messages.ts'

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
  /** Notes how far a message came; a repeat is harmless. */
  tell: (id: string, reached: Reached, message: SentMessage) => Promise<void>
}

/** What the devices of others say of messages of ours, gathered for a second and then told. */
export class Receipts {
  readonly #deps: ReceiptsDeps
  /** By id, in the order in which they came. */
  #gathered = new Map<string, { reached: Reached; message: SentMessage }>()
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
        if (isFor(message.to)) this.#gather(id, kind, message)
        else dropped('receipt')
      })
  }

  /** Tells what was gathered, without waiting for more. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const gathered = this.#gathered
    this.#gathered = new Map()
    const { tell } = this.#deps
    for (const [id, { reached, message }] of gathered) this.#write(() => tell(id, reached, message))
  }

  /** Anybody can make receipts, so those that wait for a store that is away are not without number. */
  #write(work: () => Promise<void>): void {
    const { background, dropped } = this.#deps
    if (!background(work)) dropped('waiting')
  }

  #gather(id: string, kind: Reached, message: SentMessage): void {
    const before = this.#gathered.get(id)?.reached
    const reached = REACHED.findLast((one) => one === kind || one === before) ?? kind
    this.#gathered.set(id, { reached, message })
    this.#cancel ??= this.#deps.clock.after(GATHERED_FOR_MS, () => this.flush())
  }
}
