import {
  initAuthCreds,
  makeWASocket,
  type AuthenticationCreds,
  type ConnectionState,
  type SignalDataSet,
  type SignalKeyStore,
  type UserFacingSocketConfig,
  type WAMessage,
  type WASocket,
} from '@whiskeysockets/baileys'
import { pino } from 'pino'
import { vi } from 'vitest'
import { whatsappAdmin, type WhatsAppAdmin } from './client.ts'
import { startWhatsApp, type WhatsApp, type WhatsAppOptions } from './server.ts'
import { trustStandIn } from './trust.ts'

/** What a client has on disk, here in memory, so that a test can connect again with it. */
export interface Auth {
  readonly creds: AuthenticationCreds
  readonly keys: SignalDataSet
}

/** How a connection ended, as the table of close reasons sees it. */
export interface Ending {
  readonly status: number | undefined
  readonly message: string | undefined
  readonly data: unknown
}

/** An unmodified Baileys socket and what it experienced. */
export interface TestClient {
  readonly sock: WASocket
  readonly auth: Auth
  readonly updates: Partial<ConnectionState>[]
  readonly messages: { readonly type: string; readonly message: WAMessage }[]
  /** What became of a message it sent, as far as it knows. */
  status(id: string): number | undefined
  opened(): Promise<void>
  ended(): Promise<Ending>
  /** The message with that text, its own ones included. */
  find(text: string): WAMessage | undefined
  /** What others wrote to it, in the order it came. */
  texts(): string[]
}

const SERVER = 's.whatsapp.net'

/** The address of a phone. */
export const pn = (phone: string): string => `${phone}@${SERVER}`

/** A world for one test: a stand-in, its remote control, and clients that all end with `close`. */
export async function testWorld(options: WhatsAppOptions = {}) {
  // libsignal prints private keys to the console whenever it closes a session.
  for (const method of ['info', 'warn', 'error'] as const)
    vi.spyOn(console, method).mockImplementation(() => undefined)
  trustStandIn()
  const whatsapp: WhatsApp = await startWhatsApp(options)
  const admin: WhatsAppAdmin = whatsappAdmin(whatsapp.adminUrl)
  const clients: TestClient[] = []
  const connect = (auth: Auth, config: Partial<UserFacingSocketConfig> = {}): TestClient => {
    const client = testClient(whatsapp.url, auth, config)
    clients.push(client)
    return client
  }
  return {
    whatsapp,
    admin,
    connect,
    /** Pairs a new client by QR with that phone and connects it again, as a real one would. */
    async pair(phone: string, config: Partial<UserFacingSocketConfig> = {}): Promise<TestClient> {
      await admin.phone(phone)
      const auth = freshAuth()
      const first = connect(auth)
      await admin.scan(phone, await shownQr(first))
      await first.ended()
      const client = connect(auth, config)
      await client.opened()
      await until(() => auth.creds.accountSyncCounter > 0, 'the first sync')
      const jid = auth.creds.me?.id ?? ''
      await until(async () => (await admin.device(jid)).queued === 0, 'the end of the first minutes')
      return client
    },
    /** Waits until the client has the text from somebody else. */
    reads: (client: TestClient, text: string) => until(() => client.texts().includes(text), `"${text}"`),
    /** Waits until the phone, or one of its simulated companions, has decrypted the text. */
    phoneReads: (phone: string, text: string, device = 0) =>
      until(
        async () => (await admin.messages(phone, { device })).find((message) => message.text === text),
        `${phone} to read "${text}"`,
      ),
    async close(): Promise<void> {
      const endings = clients.map(({ sock }) => sock.end(undefined))
      await whatsapp.close()
      await Promise.all(endings)
    },
  }
}

export type TestWorld = Awaited<ReturnType<typeof testWorld>>

export function freshAuth(): Auth {
  return { creds: initAuthCreds(), keys: {} }
}

/** The first QR that a client shows. */
export async function shownQr(client: TestClient): Promise<string> {
  return until(() => client.updates.findLast(({ qr }) => qr)?.qr, 'a QR')
}

/** Waits until `condition` holds and gives what it gave. */
export async function until<T>(
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  what: string,
  withinMs = 20_000,
): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const value = await condition()
    if (value !== undefined && value !== false) return value
    if (performance.now() > deadline) throw new Error(`waited ${withinMs} ms in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

function testClient(url: string, auth: Auth, config: Partial<UserFacingSocketConfig>): TestClient {
  const sock = makeWASocket({
    logger: pino({ level: 'silent' }),
    markOnlineOnConnect: false,
    ...config,
    waWebSocketUrl: url,
    auth: { creds: auth.creds, keys: memoryKeys(auth.keys) },
  })
  const updates: Partial<ConnectionState>[] = []
  const messages: { type: string; message: WAMessage }[] = []
  const statuses = new Map<string, number>()
  sock.ev.on('connection.update', (update) => void updates.push(update))
  sock.ev.on('messages.upsert', (upsert) => {
    for (const message of upsert.messages) messages.push({ type: upsert.type, message })
  })
  sock.ev.on('messages.update', (changes) => {
    for (const { key, update } of changes) {
      if (typeof update.status === 'number') statuses.set(key.id ?? '', update.status)
    }
  })
  return {
    sock,
    auth,
    updates,
    messages,
    // An update that comes while events are held back is merged into the message itself.
    status: (id) =>
      statuses.get(id) ?? messages.find(({ message }) => message.key.id === id)?.message.status ?? undefined,
    async opened() {
      await until(() => updates.some(({ connection }) => connection === 'open'), 'the connection to open')
    },
    async ended() {
      const update = await until(() => updates.find(({ connection }) => connection === 'close'), 'the end')
      const error = update.lastDisconnect?.error as
        | { message: string; data?: unknown; output?: { statusCode: number } }
        | undefined
      return { status: error?.output?.statusCode, message: error?.message, data: error?.data }
    },
    find: (text) => messages.find(({ message }) => textOf(message) === text)?.message,
    texts: () => messages.flatMap(({ message }) => (message.key.fromMe ? [] : (textOf(message) ?? []))),
  }
}

function textOf({ message }: WAMessage): string | undefined {
  return message?.conversation ?? message?.extendedTextMessage?.text ?? undefined
}

function memoryKeys(data: SignalDataSet): SignalKeyStore {
  const kinds = data as Record<string, Record<string, unknown> | undefined>
  return {
    get: (kind, ids) => {
      const known = kinds[kind] ?? {}
      return Object.fromEntries(
        ids.flatMap((id) => (known[id] === undefined ? [] : [[id, known[id]]])),
      ) as never
    },
    set: (changes) => {
      for (const [kind, values] of Object.entries(changes)) {
        const known = (kinds[kind] ??= {})
        for (const [id, value] of Object.entries(values)) {
          if (value === null || value === undefined) delete known[id]
          else known[id] = value
        }
      }
    },
  }
}
