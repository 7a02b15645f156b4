import type { Clock } from '#shared/clock.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Bodies } from '#shared/sealing/bodies.ts'
import type { AuditEvent } from '#shared/store/event-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { WriteOf } from '../loop/reporter.ts'
import type { StateDeps } from '../state/session-state.ts'
import type { Dropped } from '../whatsapp/dropped.ts'
import type { OpenSocket } from '../whatsapp/socket.ts'
import type { LateLogins } from './late-logins.ts'

/** What the runner lends to each of its sessions. */
export interface LiveSessionDeps {
  stores: Stores
  bodies: Bodies
  state: StateDeps
  openSocket: OpenSocket
  /** The version of the web client that a connection of this session says it is; `undefined` for the one that is built in. */
  clientVersion: (key: SessionKey) => string | undefined
  /** Whether the lease is good in this very moment. */
  mayWrite: () => boolean
  clock: Clock
  log: Log
  dice: () => number
  lateLogins: LateLogins
  /** Something happened that a pass must look at. */
  wake: (key: SessionKey) => void
  /** Runs a write of a session in the background until it succeeded. False: it does not, too many wait already. */
  background: (key: SessionKey, work: () => Promise<void>, of?: WriteOf) => boolean
  /** Counts what strangers send and no session takes. */
  dropped: Dropped
  /** Adds a line to the audit trail; returns at once. */
  event: (key: SessionKey, event: Omit<AuditEvent, 'id' | 'at' | 'by'>) => void
}
