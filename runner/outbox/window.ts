import type { SessionKey } from '#shared/ids.ts'
import type { OutboxMessage, WaitingMessage } from '#shared/store/outbox-message.ts'
import type { OutboxStore } from '#shared/store/outbox-store.ts'
import type { LaneItem, Stage } from './lanes.ts'

/** A message in work. */
export interface Item extends LaneItem {
  readonly id: string
  readonly place: string
  /** As the store last said. */
  message: OutboxMessage
  stage: Stage
  notBeforeMs: number
  expiresAt: number | undefined
  /** The bytes that are encrypted; since it was taken. */
  prepared: Uint8Array | undefined
  /** Tries to put it on the wire that failed in a row. */
  tries: number
  /** It was tried before, here or elsewhere, and nobody knows whether the server has it. */
  isAgain: boolean
}

/** Read at once. */
const PAGE = 50
/** In work at once, some 200 bytes each beside their text, of which 64 Ki characters are the most. */
const WINDOW = 100
/** Chats that can't go, each with its first message: a tenth of what a tenant may have waiting (shared/quotas.ts). */
const HELD_MAX = 1_000
/** Of one look; the next goes on from there. */
const PAGES_MAX = 20

interface WindowDeps {
  key: SessionKey
  store: Pick<OutboxStore, 'pending'>
  laneOf: (to: string) => string
  /** It must not be sent again although the store lists it. */
  isAside: (id: string) => boolean
}

/**
 * The messages of one outbox that are in work: the oldest that wait, and of a chat that can't go at present no more than its
 * first, so that it keeps nobody out. What was read stays until it is over, so what the store still lists because a write is
 * slow is never taken for new.
 */
export class OutboxWindow {
  readonly #deps: WindowDeps
  readonly #byId = new Map<string, Item>()
  #ordered: Item[] = []
  #loading = false
  /** Up to where it has been read; `undefined`: from the beginning. */
  #after: string | undefined
  /** There was nothing behind that. */
  #isAtEnd = false
  #hasNews = false
  /** Chats that can't go, each with its first message. */
  readonly #held = new Map<string, Item>()
  /** Chats of which something was passed over: what is newer stays behind it until all is read from the beginning. */
  readonly #passed = new Set<string>()

  constructor(deps: WindowDeps) {
    this.#deps = deps
  }

  /** In the order of acceptance. */
  get items(): readonly Item[] {
    return this.#ordered
  }

  get(id: string): Item | undefined {
    return this.#byId.get(id)
  }

  remove(item: Item): void {
    if (this.#byId.delete(item.id)) this.#ordered = this.#ordered.filter((one) => one !== item)
  }

  /** A message of this chat can't go: until its first one does, those at its end make room for other chats. */
  hold(lane: string): void {
    const open = this.#ordered.filter((item) => item.lane === lane && item.stage !== 'over')
    const [first, ...behind] = open
    if (!first) return
    this.#held.set(lane, first)
    // What is taken already must not be left without what comes before it.
    const from = behind.findLastIndex(({ stage }) => stage !== 'waiting') + 1
    for (const item of behind.slice(from)) {
      this.remove(item)
      this.#passed.add(lane)
    }
  }

  /** It went, or is over: its chat goes on, if it was the first. */
  release(item: Item): void {
    if (this.#held.get(item.lane) === item) this.#held.delete(item.lane)
  }

  /** There may be more to read, and room for it. */
  get wantsMore(): boolean {
    if (this.#loading || !this.#hasRoom(WINDOW / 2)) return false
    return this.#hasNews || !this.#isAtEnd || this.#mayGoBack
  }

  #hasRoom(most: number): boolean {
    const inWork = this.#ordered.reduce((sum, { lane }) => sum + (this.#held.has(lane) ? 0 : 1), 0)
    return inWork < most && this.#byId.size < HELD_MAX
  }

  /** A chat of which something was passed over goes on. */
  get #mayGoBack(): boolean {
    return this.#isAtEnd && [...this.#passed].some((lane) => !this.#held.has(lane))
  }

  /** The store has something new: the message itself, where it is known. */
  hear(message?: WaitingMessage): void {
    if (!message || this.#loading) this.#hasNews = true
    else if (this.#isAtEnd && this.#hasRoom(WINDOW)) this.#add(message)
    // It is read in its order, wherever that is.
    else this.restart()
  }

  /** All is read anew, from the beginning; what is in work stays. */
  restart(): void {
    this.#isAtEnd = false
    this.#after = undefined
  }

  /** Reads what there is room for. @throws CodedError `store_unavailable` */
  async load(): Promise<void> {
    const { key, store } = this.#deps
    if (this.#mayGoBack) this.#after = undefined
    this.#loading = true
    this.#hasNews = false
    this.#isAtEnd = false
    try {
      for (let pages = 0; pages < PAGES_MAX && this.#hasRoom(WINDOW); pages++) {
        const after = this.#after
        const page = await store.pending(key, { limit: PAGE, ...(after !== undefined && { after }) })
        // It was begun anew meanwhile.
        if (this.#after !== after) continue
        if (after === undefined) this.#passed.clear()
        for (const message of page) this.#add(message)
        this.#after = page.at(-1)?.place ?? after
        this.#isAtEnd = page.length < PAGE
        if (this.#isAtEnd) return
      }
    } finally {
      this.#loading = false
    }
  }

  #add(message: WaitingMessage): void {
    const { id, place } = message
    if (this.#byId.has(id) || this.#deps.isAside(id)) return
    const lane = message.chat ?? this.#deps.laneOf(message.to)
    if (this.#passed.has(lane) || this.#held.has(lane)) {
      this.#passed.add(lane)
      return
    }
    const item: Item = {
      id,
      place,
      lane,
      message,
      stage: 'waiting',
      notBeforeMs: 0,
      expiresAt: message.expiresAt,
      prepared: undefined,
      tries: 0,
      isAgain: message.state === 'taken',
    }
    this.#byId.set(id, item)
    const later = this.#ordered.findLastIndex((one) => one.place < place) + 1
    this.#ordered.splice(later, 0, item)
  }
}
