import { randomBytes } from 'node:crypto'
import {
  Browsers,
  DEFAULT_CONNECTION_CONFIG,
  generateWAMessage,
  makeWASocket,
  proto,
  type BinaryNode,
  type WASocket,
  type WAVersion,
} from '@whiskeysockets/baileys'
import type { WebSocket } from 'ws'
import type { Clock } from '#shared/clock.ts'
import type { Log } from '#shared/log.ts'
import type { Reached } from '#shared/store/outbox-message.ts'
import { within } from '#shared/within.ts'
import { Arrivals } from './arrivals.ts'
import { connectionAuth, type ConnectionAuth } from './auth-state.ts'
import { closeReport } from './close-report.ts'
import { inOrderOfArrival } from './library/arrival-order.ts'
import { baileysLog } from './library/baileys-log.ts'
import { decryptWithoutSideEffects } from './library/decrypt-without-side-effects.ts'
import { rawSocket } from './library/raw-socket.ts'
import { forgetWhoHasKey } from './library/sender-key-memory.ts'
import { MESSAGE_GIVEN_UP } from './library/sentences.ts'
import { cachesOf, deviceLists } from './library/shared-cache.ts'
import { keepPreKeyReady } from './library/spare-pre-key.ts'
import { Unavailable } from './library/unavailable.ts'
import { verifySignatures } from './library/verified-curve.ts'
import { betweenMessages, throughAllWork } from './library/work-in-hand.ts'
import { askByUsync, NumberLookup, type Resolved } from './number-lookup.ts'
import { Linking } from './linking.ts'
import { PeerRate } from './peer-rate.ts'
import { authorOf, People, type Stamped } from './people.ts'
import type { Proxies, ProxyLine } from './proxy.ts'
import { RetryGate } from './retry-gate.ts'
import { TRANSACTION, writeAheadRepository } from './signal-repository.ts'
import { guardDurableWire } from './wire-guard.ts'
import type { CloseReport, OpenSocket, OpenSocketAsk, SocketHealth, WhatsAppSocket } from './socket.ts'

export interface BaileysSettings {
  url: string | undefined
  connectTimeoutMs: number
  keepAliveEveryMs: number
  queryTimeoutMs: number
}

/** `end()` waits for the other side's close frame, 30 s when that side is dead (docs/facts/baileys.md §0.7). */
const END_WITHIN_MS = 1_500
/** How long a hand-over waits for the message in work; decryption takes milliseconds, a stuck one is left behind. */
const MUTEX_WITHIN_MS = 3_000
export const LOGOUT_WITHIN_MS = 10_000
/** Each id that nobody knows costs a look into the store: who reads a long chat at once names some hundred. */
const RECEIPTS = { burst: 2_000, perSecond: 5 }

/** Other names of a device are refused at pairing for some accounts (docs/facts/whatsapp-2026.md §1.4). */
const BROWSER = Browsers.ubuntu('Chrome')

/** The version of the web client that the library was made for. */
export const BUILT_IN_VERSION = DEFAULT_CONNECTION_CONFIG.version.join('.')

/** What every connection to WhatsApp has in common. */
export const commonOptions = (settings: BaileysSettings, version: string | undefined) => ({
  browser: BROWSER,
  ...(settings.url ? { waWebSocketUrl: settings.url } : {}),
  ...(version === undefined ? {} : { version: version.split('.').map(Number) as WAVersion }),
  connectTimeoutMs: settings.connectTimeoutMs,
  defaultQueryTimeoutMs: settings.queryTimeoutMs,
  keepAliveIntervalMs: settings.keepAliveEveryMs,
  transactionOpts: TRANSACTION,
  markOnlineOnConnect: false,
  syncFullHistory: false,
})

/** The request to take a device off its phone; the server grants a device nobody's but its own. */
export const unlinkRequest = (jid: string): BinaryNode => ({
  tag: 'iq',
  attrs: { to: '@s.whatsapp.net', type: 'set', xmlns: 'md' },
  content: [{ tag: 'remove-companion-device', attrs: { jid, reason: 'user_initiated' } }],
})

/** Makes every connection of a session but one: the last one of a superseded device (`unlink-device.ts`). */
export function baileysSockets(deps: {
  settings: BaileysSettings
  proxies: Proxies
  clock: Clock
  log: Log | undefined
}): OpenSocket {
  verifySignatures()
  decryptWithoutSideEffects()
  return (ask) => new BaileysSocket(deps, ask)
}

/** A text has nothing to upload. */
const noUpload = (): Promise<never> => Promise.reject(new Error('a text has no media'))

const RECEIPT_KINDS: Readonly<Record<string, Reached>> = {
  delivered: 'delivered',
  inactive: 'delivered',
  read: 'read',
  played: 'played',
}

/** WhatsApp answered a query with an error, whose number rc14 puts here (docs/facts/baileys.md §1.1). */
const isRefusal = (error: unknown): boolean => typeof (error as { data?: unknown }).data === 'number'

class BaileysSocket implements WhatsAppSocket {
  readonly #clock: Clock
  readonly #ask: OpenSocketAsk
  readonly #auth: ConnectionAuth
  readonly #sock: WASocket
  readonly #raw: WebSocket | undefined
  #closed = false
  /** The error that we ended it with: the library reports the close with the very same one, unless it was ended before. */
  #ended: { error: Error; report: CloseReport } | undefined
  #http: number | undefined
  #lastFrameMs: number
  #openedAtMs: number | undefined
  #loggedInAtMs: number | undefined
  readonly #arrivals: Arrivals
  readonly #unavailable: Unavailable
  readonly #people: People
  readonly #numbers: NumberLookup
  readonly #retries: RetryGate
  readonly #receipts: PeerRate
  readonly #proxy: ProxyLine | undefined
  readonly #linking: Linking

  constructor(deps: Parameters<typeof baileysSockets>[0], ask: OpenSocketAsk) {
    const { settings, clock, log } = deps
    this.#proxy = deps.proxies(ask.state.key, ask.proxy)
    this.#clock = clock
    this.#ask = ask
    this.#lastFrameMs = clock.monotonicMs()
    this.#auth = connectionAuth(ask.state, ask.dropped)
    this.#people = new People({ creds: this.#auth.creds, records: ask.state.records })
    this.#receipts = new PeerRate(clock, RECEIPTS)
    this.#arrivals = new Arrivals(clock)
    this.#sock = makeWASocket({
      auth: this.#auth,
      logger: baileysLog(log, (text) => {
        if (text === MESSAGE_GIVEN_UP) this.#arrivals.givenUp()
      }),
      ...commonOptions(settings, ask.version),
      ...this.#proxy?.options,
      makeSignalRepository: writeAheadRepository(this.#auth.keys, ask.inbox, {
        kept: () => ask.events.received(),
        tried: (ciphertext) => this.#arrivals.tried(ciphertext),
        dropped: ask.dropped,
      }),
      ...cachesOf(ask.state.key),
      getMessage: async ({ id, remoteJid, participant }) => {
        // rc14 writes the asker of a chat of two into both.
        const asker = participant ?? remoteJid ?? ''
        const by = { from: remoteJid ?? '', participant: asker }
        const isFor = (to: string): boolean => this.#people.isOwn(asker) || this.#isRecipient(to, by)
        const prepared = id ? await ask.sentMessage(id, isFor) : undefined
        return prepared && proto.Message.decode(prepared)
      },
    })
    this.#numbers = new NumberLookup(ask.state, clock, askByUsync(this.#sock))
    this.#retries = new RetryGate({
      line: this.#sock,
      people: this.#people,
      clock,
      dropped: ask.dropped,
      isSentTo: async (id, isFor) =>
        (await ask.sentMessage(id, (to) => isFor(this.#numbers.accountOf(to)))) !== undefined,
      isClosed: () => this.#closed,
    })
    this.#unavailable = new Unavailable(this.#sock, clock)
    this.#linking = new Linking({
      line: this.#sock,
      creds: this.#auth.creds,
      browser: BROWSER,
      clock,
      changed: () => ask.state.journal.credsChanged(),
      events: ask.events,
      end: (report) => this.#endAs(report),
    })
    this.#raw = rawSocket(this.#sock)
    if (this.#raw) guardDurableWire(this.#raw, ask.state.journal, ask.mayWrite)
    this.#raw?.prependOnceListener('close', () => this.#auth.close())
    this.#listen()
  }

  async requestPairingCode(phone: string): Promise<string | undefined> {
    try {
      return await this.#linking.code(phone)
    } catch (error) {
      if (this.#closed) return undefined
      throw error
    }
  }

  resolve(to: string): Promise<Resolved> {
    return this.#numbers.resolve(to)
  }

  async prepare({ id, to, request }: Parameters<WhatsAppSocket['prepare']>[0]): Promise<Uint8Array> {
    // As the library's `sendMessage` does it, but for looking up the links in a text: no address of a tenant's is asked.
    const { message } = await generateWAMessage(
      to,
      { text: request.text.body, linkPreview: null },
      { userJid: this.#auth.creds.me?.id ?? '', messageId: id, upload: noUpload },
    )
    return proto.Message.encode(message ?? {}).finish()
  }

  async send(ask: Parameters<WhatsAppSocket['send']>[0]): Promise<void> {
    const { id, prepared, again } = ask
    const to = this.#numbers.accountOf(ask.to)
    if (again) await forgetWhoHasKey(this.#auth.keys, to)
    try {
      await this.#sock.relayMessage(to, proto.Message.decode(prepared), { messageId: id })
    } catch (error) {
      // One device without keys fails the whole send (docs/facts/baileys.md §14.10). Who was unlinked while its list was
      // on the way would stay in it: the next try asks anew who is there.
      if (isRefusal(error)) await deviceLists.of(this.#ask.state.key).flushAll()
      throw error
    }
  }

  async logout(): Promise<'confirmed' | 'unconfirmed'> {
    const jid = this.#auth.creds.me?.id
    if (!jid) return 'unconfirmed'
    const answer: BinaryNode | undefined = await this.#sock
      .query(unlinkRequest(jid), LOGOUT_WITHIN_MS)
      .catch(() => undefined)
    return answer?.attrs['type'] === 'result' ? 'confirmed' : 'unconfirmed'
  }

  async handOver(): Promise<void> {
    if (this.#closed) return
    const end = async (): Promise<void> => {
      // Sealing in the same tick as `end` makes any later decryption fail before it is stored, so the server delivers that
      // message again to whoever connects next.
      const ended = this.#end({ by: 'us', message: 'handed over' })
      this.#auth.close()
      await within(this.#clock, END_WITHIN_MS, ended)
      this.#raw?.terminate()
      await within(this.#clock, END_WITHIN_MS, ended)
    }
    await within(this.#clock, MUTEX_WITHIN_MS, betweenMessages(this.#sock, end))
    if (!this.#closed) await end()
    this.#closedWith({ by: 'us', message: 'handed over' })
  }

  drop(by: CloseReport['by'], why: string): void {
    this.#endAs({ by, message: why })
  }

  /** Ends at once, and tells that. */
  #endAs(report: CloseReport): void {
    if (this.#closed) return
    this.#auth.close()
    void Promise.resolve(this.#end(report)).catch(() => undefined)
    this.#raw?.terminate()
    this.#closedWith(report)
  }

  #end(report: CloseReport): Promise<void> {
    const error = new Error(report.message)
    this.#ended = { error, report }
    return this.#sock.end(error)
  }

  health(): SocketHealth {
    return {
      openedAtMs: this.#openedAtMs,
      lastFrameMs: this.#lastFrameMs,
      loggedInAtMs: this.#loggedInAtMs,
      messagesIdleSinceMs: this.#arrivals.idleSinceMs,
      peerMessageSinceMs: this.#arrivals.peerSinceMs,
    }
  }

  async probe(withinMs: number): Promise<boolean> {
    const work = throughAllWork(this.#sock, this.#auth.creds.me?.id ?? 'probe')
    return within(this.#clock, withinMs, work)
  }

  #listen(): void {
    const { events, state, inbox } = this.#ask
    const { ev, ws } = this.#sock
    ev.on('creds.update', () => {
      state.journal.credsChanged()
      if (this.#openedAtMs !== undefined) this.#unavailable.credsChanged()
      this.#keepPreKeyReady()
    })
    ev.on('connection.update', (update) => {
      if (update.qr) this.#linking.qr(update.qr)
      if (update.isNewLogin) this.#paired()
      if (update.connection === 'open') this.#opened()
      if (update.connection === 'close') {
        // What was receipted already must still reach the application; `destroy` would drop it.
        ev.flush()
        this.#closedWith(this.#reported(update.lastDisconnect?.error))
      }
    })
    ws.on('frame', (frame: BinaryNode | Uint8Array) => {
      this.#lastFrameMs = this.#clock.monotonicMs()
      if (frame instanceof Uint8Array) return
      this.#linking.came(frame)
      this.#retries.came(frame)
      if (frame.tag !== 'message') return
      this.#arrivals.came(frame)
      inbox.note(frame, this.#people.isOwn(authorOf(frame.attrs)))
      inOrderOfArrival(frame)
    })
    ws.on('CB:success', () => {
      this.#loggedInAtMs = this.#clock.monotonicMs()
    })
    ws.on('CB:ack,class:message', (node: BinaryNode) => {
      const { id, from, error } = node.attrs
      if (from && error !== undefined) void forgetWhoHasKey(this.#auth.keys, from).catch(() => undefined)
      if (id) events.acknowledged(id, error === undefined ? undefined : Number(error))
    })
    ws.on('CB:receipt', (node: BinaryNode) => this.#receipt(node))
    ws.on('unexpected-response', (_request: unknown, response: { statusCode?: number }) => {
      this.#http = response.statusCode
      this.drop('server', `the server answered ${response.statusCode} instead of opening a WebSocket`)
    })
  }

  /** The secret that stood in the QR has done its work, and the QR went through many hands: it is exchanged. */
  #paired(): void {
    this.#auth.creds.advSecretKey = randomBytes(32).toString('base64')
    this.#ask.state.journal.credsChanged()
    this.#ask.events.paired()
  }

  #opened(): void {
    const { me } = this.#auth.creds
    this.#openedAtMs = this.#clock.monotonicMs()
    this.#ask.events.open({ jid: me?.id ?? '', lid: me?.lid })
    this.#keepPreKeyReady()
  }

  #keepPreKeyReady(): void {
    if (this.#openedAtMs === undefined || this.#closed) return
    void keepPreKeyReady(this.#sock, this.#auth, this.#ask.state.journal).catch(() => undefined)
  }

  #receipt(node: BinaryNode): void {
    const { id, type } = node.attrs
    const kind = RECEIPT_KINDS[type ?? 'delivered']
    if (!id || !kind) return
    const list = Array.isArray(node.content) ? node.content.find((child) => child.tag === 'list') : undefined
    const items = Array.isArray(list?.content) ? list.content.flatMap((item) => item.attrs['id'] ?? []) : []
    const ids = [id, ...items]
    if (!this.#receipts.take(node.attrs, ids.length)) return this.#ask.dropped('rate')
    this.#ask.events.receipt(ids, kind, (to) => this.#isRecipient(to, node.attrs))
  }

  #reported(error: Error | undefined): CloseReport {
    const ended = this.#ended
    return ended && ended.error === error ? ended.report : closeReport(error, this.#http)
  }

  /** A number may be another account's address: what was sent to the one was received by the other. */
  #isRecipient(to: string, by: Stamped): boolean {
    return this.#people.isRecipient(this.#numbers.accountOf(to), by)
  }

  #closedWith(report: CloseReport): void {
    if (this.#closed) return
    this.#closed = true
    this.#auth.close()
    this.#unavailable.close()
    this.#proxy?.close()
    const { failure: proxy } = this.#proxy ?? {}
    const http = this.#http
    this.#ask.events.closed({ ...report, ...(http !== undefined && { http }), ...(proxy && { proxy }) })
  }
}
