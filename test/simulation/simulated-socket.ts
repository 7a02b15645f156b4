import type { SessionKey } from '#shared/ids.ts'
import { within } from '#shared/within.ts'
import { APP_TYPE } from '#runner/state/app-records.ts'
import { connectionAuth, type ConnectionAuth } from '#runner/whatsapp/auth-state.ts'
import type { Resolved } from '#runner/whatsapp/number-lookup.ts'
import type { CloseReport, OpenSocketAsk, SocketHealth, WhatsAppSocket } from '#runner/whatsapp/socket.ts'
import type { Link } from './link.ts'
import type { SimulatedProcess } from './process.ts'
import { newRatchet, plaintextOf, stepIn, stepOut, type RatchetRecord } from './ratchet.ts'
import type { Inbound, WhatsApp, WhatsAppClient } from './whatsapp.ts'

/** As in baileys-socket.ts. */
const END_WITHIN_MS = 1_500
const MUTEX_WITHIN_MS = 3_000

export interface SocketDeps {
  process: SimulatedProcess
  whatsapp: WhatsApp
  /** One thing at a time per peer in the whole process, as in signal-repository.ts. */
  byAddress: KeyedMutex
  freshChain: () => string
  /** Until when WhatsApp keeps the connection of a process that is gone; `undefined`: until it is replaced. */
  noticedAfterMs: () => number | undefined
  unreadable: (key: SessionKey, message: Inbound) => void
  ended: (socket: SimulatedSocket) => void
  replacedByForeigner: (socket: SimulatedSocket) => void
}

type KeyedMutex = <T>(key: string, work: () => Promise<T>) => Promise<T>

export function keyedMutex(): KeyedMutex {
  const tails = new Map<string, Promise<unknown>>()
  return (key, work) => {
    const run = (tails.get(key) ?? Promise.resolve()).then(work)
    tails.set(
      key,
      run.catch(() => undefined),
    )
    return run
  }
}

/** Whoever waits for it hears of a failure; nobody has to. */
function handled(work: Promise<void>): Promise<void> {
  work.catch(() => undefined)
  return work
}

/**
 * What Baileys does over our auth state, inbox and wire guard, with real ones of the first two: a step of a ratchet is
 * durable before its message is on the wire, a message is kept in the same `set` as its ratchet step and receipted
 * afterwards, and after the end nothing can be stored.
 */
export class SimulatedSocket implements WhatsAppSocket, WhatsAppClient {
  readonly process: SimulatedProcess
  readonly key: SessionKey
  readonly epoch: number
  readonly #deps: SocketDeps
  readonly #ask: OpenSocketAsk
  readonly #auth: ConnectionAuth
  readonly #link: Link
  #closed = false
  /** The WebSocket is being closed: nothing more can be written to it. */
  #isClosing = false
  #authClosed = false
  #order: Promise<void> | undefined
  #inWork: Promise<void> = Promise.resolve()
  #openedAtMs: number | undefined

  constructor(deps: SocketDeps, ask: OpenSocketAsk) {
    this.#deps = deps
    this.#ask = ask
    this.process = deps.process
    this.key = ask.state.key
    this.epoch = ask.state.epoch
    this.#auth = connectionAuth(ask.state)
    this.#link = deps.whatsapp.dial(this.key, this)
    deps.process.atEnd(() => this.#link.abandon(deps.noticedAfterMs()))
  }

  get isLive(): boolean {
    return !this.#closed
  }

  /** The client knows that it is logged in. */
  get wasOpened(): boolean {
    return this.#openedAtMs !== undefined
  }

  get link(): Link {
    return this.#link
  }

  challenged(): void {
    void this.#wire(() => this.#deps.whatsapp.logIn(this.key, this.#link, this))
  }

  opened(): void {
    this.#openedAtMs = this.process.clock.monotonicMs()
    const creds = this.#auth.creds as unknown as { logins?: number; me?: { id: string } }
    creds.logins = (creds.logins ?? 0) + 1
    this.#ask.state.journal.credsChanged()
    this.#ask.events.open({ jid: creds.me?.id ?? '' })
  }

  received(message: Inbound): void {
    // The very bytes that the stanza held are known to the inbox, not copies of them.
    const ciphertext = Uint8Array.from(message.ciphertext)
    const { id, from, t } = message
    const content = [{ tag: 'enc', attrs: { type: 'msg' }, content: ciphertext }]
    this.#ask.inbox.note({ tag: 'message', attrs: { id, from, t: String(t) }, content })
    this.#inWork = this.#inWork.then(() => this.#handle(message, ciphertext)).catch(() => undefined)
  }

  async #handle(message: Inbound, ciphertext: Uint8Array): Promise<void> {
    const { inbox, events } = this.#ask
    const { from, counter, text, id } = message
    if (!inbox.known(ciphertext)) {
      await this.#deps.byAddress(from, async () => {
        const record = stepIn(await this.#ratchet(from), counter)
        if (!record) {
          if (!this.#authClosed) this.#deps.unreadable(this.key, message)
          throw new Error('not decrypted')
        }
        const kept = inbox.keep(ciphertext, plaintextOf(text))
        await this.#auth.keys.set({
          session: { [from]: record },
          ...(kept ? { [APP_TYPE]: { [kept.id]: kept.value } } : {}),
        } as never)
      })
      events.received()
    }
    void this.#wire(() => this.#deps.whatsapp.receipt(this.key, id))
  }

  acknowledged(id: string): void {
    this.#ask.events.acknowledged(id, undefined)
  }

  delivered(id: string): void {
    this.#ask.events.receipt([id], 'delivered', () => true)
  }

  async resolve(to: string): Promise<Resolved> {
    return { jid: to }
  }

  /** Each time it is another form, as that of a message with a secret of its own would be. */
  async prepare({ request }: Parameters<WhatsAppSocket['prepare']>[0]): Promise<Uint8Array> {
    return Buffer.from(`${this.#deps.freshChain()} ${request.text.body}`)
  }

  async send({ id, to, prepared }: Parameters<WhatsAppSocket['send']>[0]): Promise<void> {
    if (this.#closed) throw new Error('Connection Closed')
    const { chain, counter } = await this.#deps.byAddress(to, async () => {
      const step = stepOut(await this.#ratchet(to), this.#deps.freshChain)
      // Who has which device is asked now and then; it is a cache and rides along.
      await this.#auth.keys.set({ 'device-list': { [to]: [String(step.counter >> 2)] } })
      await this.#auth.keys.set({ session: { [to]: step.record } } as never)
      return step
    })
    const message = { id, to, text: Buffer.from(prepared).toString(), chain, counter }
    await this.#wire(() => this.#deps.whatsapp.accept(this.key, this.#link, this, message))
  }

  async #ratchet(peer: string): Promise<RatchetRecord> {
    const { [peer]: record } = await this.#auth.keys.get('session', [peer])
    return (record as unknown as RatchetRecord | undefined) ?? newRatchet(this.#deps.freshChain())
  }

  /** Nothing leaves before all that was stored until then is durable, as in baileys-socket.ts. */
  #wire(task: () => void): Promise<void> {
    const { journal } = this.#ask.state
    const put = (): void => {
      if (this.#isClosing) throw new Error('Connection Closed')
      if (!this.#ask.mayWrite()) throw new Error('the lease ran out')
      this.#link.toServer(task)
    }
    if (!this.#order && journal.isDurable) return handled(Promise.try(put))
    const held: Promise<void> = (this.#order ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => journal.durable())
      .then(put)
      .finally(() => {
        if (this.#order === held) this.#order = undefined
      })
    this.#order = held
    return handled(held)
  }

  async handOver(): Promise<void> {
    if (this.#closed) return
    await within(this.process.clock, MUTEX_WITHIN_MS, this.#inWork)
    if (this.#closed) return
    this.#isClosing = true
    this.#closeAuth()
    const gone = new Promise<void>((resolve) => {
      this.#link.toServer(() => this.#link.toClient(resolve))
    })
    await within(this.process.clock, END_WITHIN_MS, gone)
    this.#end({ by: 'us', message: 'handed over' })
  }

  drop(by: 'us' | 'watchdog', why: string): void {
    this.#end({ by, message: why })
  }

  closedByWire(report: CloseReport): void {
    if (this.#link.takenByForeigner && report.conflict === 'replaced') this.#deps.replacedByForeigner(this)
    this.#end(report)
  }

  #end(report: CloseReport): void {
    if (this.#closed) return
    this.#closed = true
    this.#isClosing = true
    this.#closeAuth()
    this.#link.closeByClient()
    this.#deps.ended(this)
    this.#ask.events.closed(report)
  }

  #closeAuth(): void {
    this.#authClosed = true
    this.#auth.close()
  }

  health(): SocketHealth {
    return {
      openedAtMs: this.#openedAtMs,
      lastFrameMs: this.#link.lastFrameMs,
      loggedInAtMs: this.#openedAtMs,
      messagesIdleSinceMs: undefined,
      peerMessageSinceMs: undefined,
    }
  }

  requestPairingCode(): Promise<string> {
    return Promise.reject(new Error('nobody pairs in a simulation'))
  }

  logout(): Promise<'confirmed' | 'unconfirmed'> {
    return Promise.resolve('unconfirmed')
  }

  probe(): Promise<boolean> {
    return Promise.resolve(true)
  }
}
