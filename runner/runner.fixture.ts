import pino from 'pino'
import type { Clock } from '#shared/clock.ts'
import type { SessionId, SessionKey, TenantId } from '#shared/ids.ts'
import { sessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Session, Status, Want } from '#shared/session.ts'
import { unseenStatus } from '#shared/session.ts'
import { MemoryDatabase } from '#test/simulation/memory/database.ts'
import { memoryStores } from '#test/simulation/memory/stores.ts'
import { LiveSession } from './session/live-session.ts'
import type { LiveSessionDeps } from './session/live-session-deps.ts'
import type { SessionState } from './state/session-state.ts'
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

/** A live session that is rehydrated, paired and not connected; nothing in it reaches the outside. */
export function liveOf(more: Partial<LiveSession> = {}, key = KEY): LiveSession {
  const calm = { state: {} as SessionState, paired: true }
  return Object.assign(new LiveSession({} as LiveSessionDeps, key), calm, more)
}

/** A connection that does nothing, but for what a test says. */
export const socketOf = (more: Partial<WhatsAppSocket> = {}): WhatsAppSocket => ({
  requestPairingCode: async () => 'ABCD1234',
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
