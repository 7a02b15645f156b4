import type { WhatsAppSocket } from '../whatsapp/socket.ts'

/** What a connection was begun for. */
interface Begun {
  /** The generation of the want that it answers to. */
  readonly generation: number
  /** The pairing window that it was opened for. */
  readonly windowId: string | undefined
  /** It logs in with credentials that were paired before. */
  readonly asPaired: boolean
  /** Monotonic time at which it was begun. */
  readonly begunMs: number
}

/** The present connection, for whoever only reads. A new object with every change. */
export type ConnectionView =
  | { readonly is: 'none' }
  | (Begun & { readonly is: 'connecting'; readonly socket: Observed })
  | OpenConnection
export type OpenConnection = Begun & {
  readonly is: 'open'
  /** Monotonic. */
  readonly openSinceMs: number
  readonly socket: Observed
}

/** What watchdogs may ask of it. */
type Observed = Pick<WhatsAppSocket, 'health' | 'probe'>

export const NO_CONNECTION: ConnectionView = { is: 'none' }

/** The one connection of a session: none, on its way, or open. What it was is gone as soon as it is over. */
export class Connection {
  #view: ConnectionView = NO_CONNECTION
  #socket: WhatsAppSocket | undefined
  #isClosing = false
  #isHandedOver: boolean

  /** `isHandedOver`: the predecessor was connected until a moment ago. */
  constructor(isHandedOver: boolean) {
    this.#isHandedOver = isHandedOver
  }

  get view(): ConnectionView {
    return this.#view
  }

  get socket(): WhatsAppSocket | undefined {
    return this.#socket
  }

  /** The predecessor's was open until a moment ago, and none was begun here. */
  get isHandedOver(): boolean {
    return this.#isHandedOver
  }

  /** It is being ended in order. */
  get isClosing(): boolean {
    return this.#isClosing
  }

  /**
   * Begins one. `open` gets a question that its events ask: whether they speak of the present connection, which is true from
   * the moment in which it answered until that connection is over.
   */
  begin(begun: Begun, open: (isPresent: () => boolean) => WhatsAppSocket): void {
    if (this.#socket) throw new Error('one connection ends before the next begins')
    const socket = open(() => this.#socket !== undefined && this.#socket === socket)
    this.#socket = socket
    this.#isHandedOver = false
    this.#view = { ...begun, is: 'connecting', socket }
  }

  opened(nowMs: number): void {
    if (this.#view.is !== 'connecting') throw new Error('a connection opens once')
    this.#view = { ...this.#view, is: 'open', openSinceMs: nowMs }
  }

  closing(): void {
    if (!this.#socket) throw new Error('only a connection can be closed')
    this.#isClosing = true
  }

  /** Answers what it was. */
  over(): ConnectionView {
    const was = this.#view
    this.#view = NO_CONNECTION
    this.#socket = undefined
    this.#isClosing = false
    return was
  }
}
