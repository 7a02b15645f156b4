import pino from 'pino'
import type { Clock } from '#shared/clock.ts'
import type { SessionId, SessionKey, TenantId } from '#shared/ids.ts'
import { sessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Session, Status, Want } from '#shared/session.ts'
import { unseenStatus } from '#shared/session.ts'
import { MemoryDatabase } from '#test/simulation/memory/database.ts'
import { memoryStores } from '#test/simulation/memory/stores.ts'
import type { Block } from './session/block.ts'
import { NO_CONNECTION, type ConnectionView } from './session/connection.ts'
import type { SessionView } from './session/session-view.ts'
import type { UnlinkDevice, WhatsAppSocket } from './whatsapp/socket.ts'

/** For the unit tests of the runner: calm defaults, so that a test says only what differs. */

export const keyOf = (name: string): SessionKey => sessionKey('acme' as TenantId, name as SessionId)
export const KEY = keyOf('shop')

export const statusOf = (more: Partial<Status> = {}): Status => ({
  ...unseenStatus(1),
  phase: 'connected',
  observedGeneration: 1,
  ...more,
})

/** A session that a runner has looked at, wanted running. `status: undefined` is one that nobody has looked at. */
export function sessionOf(more: { want?: Partial<Want>; status?: Status | undefined } = {}): Session {
  const status = 'status' in more ? more.status : statusOf()
  return {
    tenant: 'acme' as TenantId,
    id: 'shop' as SessionId,
    want: { state: 'running', generation: 1, metadata: {}, ...more.want },
    ...(status && { status }),
    dataKeys: [],
    createdAt: 1,
    updatedAt: 1,
  }
}

type Facets = 'identity' | 'pairing' | 'retry'
/** What a test says of a session in hand; the rest is calm. */
export type Seen = Partial<Omit<SessionView, Facets>> & { [Facet in Facets]?: Partial<SessionView[Facet]> }

/** What is seen of a session in hand that is rehydrated, paired and not connected. */
export const viewOf = (more: Seen = {}, key = KEY): SessionView => ({
  key,
  state: { lastSnapshot: undefined, witness: undefined },
  connection: NO_CONNECTION,
  isDelivering: false,
  isUnreadable: false,
  lastDisconnect: undefined,
  closeReason: undefined,
  proxy: undefined,
  lastActivityAt: undefined,
  superseded: { devices: undefined, notBeforeMs: 0 },
  ...more,
  identity: { paired: true, me: undefined, authenticatedAt: undefined, ...more.identity },
  pairing: {
    shown: undefined,
    endedWindowId: undefined,
    note: undefined,
    hindrance: undefined,
    ...more.pairing,
  },
  retry: { attempts: 0, retryAtMs: 0, block: undefined, ...more.retry },
})

export const blockOf = (phase: Block['phase'], more: Partial<Block> = {}): Block => ({
  phase,
  why: 'because',
  until: undefined,
  untilMs: undefined,
  ...more,
})

type Begun = Exclude<ConnectionView, { is: 'none' }>
type BegunMore = Partial<Omit<Begun, 'is'>>
const begun = { generation: 1, windowId: undefined, asPaired: true, begunMs: 0 }

export const connectingView = (more: BegunMore = {}): ConnectionView => ({
  ...begun,
  socket: socketOf(),
  ...more,
  is: 'connecting',
})

export const openView = (more: BegunMore & { openSinceMs?: number } = {}): ConnectionView => ({
  ...begun,
  socket: socketOf(),
  openSinceMs: 0,
  ...more,
  is: 'open',
})

/** A connection that does nothing, but for what a test says. */
export const socketOf = (more: Partial<WhatsAppSocket> = {}): WhatsAppSocket => ({
  requestPairingCode: async () => 'ABCD1234',
  resolve: async (to) => ({ jid: to }),
  prepare: async ({ request }) => Buffer.from(request.text.body),
  send: async () => undefined,
  logout: async () => 'confirmed',
  handOver: async () => undefined,
  drop: () => undefined,
  health: () => ({
    openedAtMs: undefined,
    lastFrameMs: 0,
    loggedInAtMs: undefined,
    messagesIdleSinceMs: undefined,
    peerMessageSinceMs: undefined,
  }),
  probe: async () => true,
  ...more,
})

/** No superseded device gets an answer. */
export const noUnlink: UnlinkDevice = async () => ({ ended: 'no_answer' })

/** Stores in memory that keep every contract, and what they hold. Virtual time needs stores that wait for nothing. */
export function memory(clock: Clock) {
  const db = new MemoryDatabase(() => clock.nowMs())
  return { db, stores: memoryStores(db) }
}

export interface Line {
  level: number
  message: string
  [field: string]: unknown
}

/** A log whose lines can be read. */
export function recordedLog(): { log: Log; lines: Line[] } {
  const lines: Line[] = []
  const write = (line: string): void => void lines.push(JSON.parse(line) as Line)
  const log = pino({ level: 'trace', messageKey: 'message', errorKey: 'error' }, { write })
  return { log, lines }
}

export const silent: Log = pino({ level: 'silent' })
