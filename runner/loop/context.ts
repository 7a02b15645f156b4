import type { Clock } from '#shared/clock.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Random } from '#shared/random.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { TransferSettings } from '#shared/transfer-settings.ts'
import type { Gate } from '../gate/gate.ts'
import type { BootReport } from '../pacing/boot-report.ts'
import type { FleetBreaker } from '../pacing/breaker.ts'
import type { KeyCare } from './key-care.ts'
import type { KeyQueue } from './key-queue.ts'
import type { LoopLag } from '../pacing/loop-lag.ts'
import type { Claims } from '../ownership/claims.ts'
import type { Preparations } from '../ownership/preparations.ts'
import type { RunnerLease } from '../ownership/lease.ts'
import type { RunnersSeen } from '../ownership/runners-seen.ts'
import type { Pacer } from '../pacing/pacer.ts'
import type { LateLogins } from '../session/late-logins.ts'
import type { LiveSession } from '../session/live-session.ts'
import type { LiveSessionDeps } from '../session/live-session-deps.ts'
import type { DataKeys } from '../state/data-keys.ts'
import type { WorkingCopies } from '../state/working-copy.ts'
import type { Reporter } from './reporter.ts'
import type { SlowLane } from './slow-lane.ts'
import type { View } from './view.ts'
import type { UnlinkDevice } from '../whatsapp/socket.ts'

/** What the steps of one runner share. Wired once, in `runner.ts`. */
export interface RunnerContext {
  stores: Stores
  clock: Clock
  random: Random
  log: Log
  lease: RunnerLease
  claims: Claims
  runners: RunnersSeen
  preparations: Preparations
  view: View
  live: Map<SessionKey, LiveSession>
  sessionDeps: LiveSessionDeps
  lateLogins: LateLogins
  dataKeys: DataKeys
  workingCopies: WorkingCopies
  queue: KeyQueue<SessionKey>
  pacer: Pacer<SessionKey>
  breaker: FleetBreaker
  lag: LoopLag
  reporter: Reporter
  boot: BootReport
  unlinkDevice: UnlinkDevice
  gate: Gate
  keyCare: KeyCare
  transfer: TransferSettings
  /** Snapshots that are due. */
  snapshots: SlowLane
  /** Superseded devices that are taken off their phones. */
  unlinking: SlowLane
  /** Devices of deleted sessions, likewise. */
  unlinkingRemoved: SlowLane
}
