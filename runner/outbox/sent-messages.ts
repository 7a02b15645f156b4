import { LRUCache } from 'lru-cache'
import type { SessionKey } from '#shared/ids.ts'
import type { Bodies } from '#shared/sealing/bodies.ts'
import { openPrepared } from '#shared/sealing/outbox-bodies.ts'
import type { OutboxMessage } from '#shared/store/outbox-message.ts'
import type { OutboxStore } from '#shared/store/outbox-store.ts'
import { plainText } from '../whatsapp/plain-text.ts'

export interface SentMessage {
  to: string
  chat: string
  /** The bytes that were encrypted. */
  prepared: Uint8Array
}

/** Messages that were sent lately, for peers that ask again; older ones are read from the store. One for all. */
const recent = new LRUCache<string, SentMessage>({
  max: 20_000,
  maxSize: 32 * 1024 * 1024,
  sizeCalculation: ({ prepared, to }) => prepared.length + to.length + 1,
})
/** Ids that the store was asked for in vain: of the phone's other devices, or somebody's invention. One for all. */
const unknown = new LRUCache<string, true>({ max: 20_000 })

/** How ids of ours begin, and those of every WhatsApp Web; what concerns the phone's own messages costs nothing then. */
const OURS = '3EB0'

/** What was sent to whom, also long ago, also by another process. */
export class SentMessages {
  readonly #key: SessionKey
  readonly #store: Pick<OutboxStore, 'get'>
  readonly #bodies: Bodies

  constructor(deps: { key: SessionKey; store: Pick<OutboxStore, 'get'>; bodies: Bodies }) {
    this.#key = deps.key
    this.#store = deps.store
    this.#bodies = deps.bodies
  }

  /** To be called before it is on the wire: whoever asks for it again may be quick. */
  note(id: string, message: SentMessage): void {
    recent.set(this.#name(id), message)
  }

  /** `undefined` for what was never taken, or is none of ours. @throws CodedError `bad_bytes`, `store_unavailable` */
  async find(id: string): Promise<SentMessage | undefined> {
    if (!id.startsWith(OURS)) return undefined
    const name = this.#name(id)
    const known = recent.get(name)
    if (known || unknown.has(name)) return known
    const stored = await this.#store.get(this.#key, id)
    const message = stored && (await this.#read(stored))
    if (message) recent.set(name, message)
    // What is taken meanwhile is among the recent ones, and those come first.
    else unknown.set(name, true)
    return message
  }

  async #read({ id, to, chat = to, prepared, text, state }: OutboxMessage): Promise<SentMessage | undefined> {
    if (prepared) return { to, chat, prepared: await openPrepared(this.#bodies, this.#key, id, prepared) }
    // 341e3f4 prepared nothing, and sent this.
    return text === undefined || state === 'queued' ? undefined : { to, chat, prepared: plainText(text) }
  }

  #name(id: string): string {
    return `${this.#key}|${id}`
  }
}
