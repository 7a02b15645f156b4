import type { Clock } from '#shared/clock.ts'
import type { Log } from '#shared/log.ts'
import type { Random } from '#shared/random.ts'
import type { Bodies } from '#shared/sealing/bodies.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { TransferSettings } from '#shared/transfer-settings.ts'
import type { LeaseTimes } from './ownership/lease.ts'
import type { WatchdogTimes } from './session/watchdog.ts'
import type { WorkingCopies } from './state/working-copy.ts'
import type { VersionDeps } from './version/version.ts'
import type { Dropped } from './whatsapp/dropped.ts'
import type { OpenSocket, UnlinkDevice } from './whatsapp/socket.ts'

export interface RunnerSettings {
  name: string
  version: string
  workDir: string
  lease: LeaseTimes
  watchdog: WatchdogTimes
  resyncEveryMs: number
  /** Where looking at the other runners costs nothing and may prove a death; elsewhere their leases decide when to. */
  lookEveryMs?: number | undefined
  connectsPerSecond: number
  connectingMax: number
  capacity: number
  /** How many sessions a minute go to the runner that should have them; 0 for none. */
  rebalancePerMinute: number
  /** How old the newest data key of a session may become; without it, or with 0, keys are rotated on request only. */
  rotateKeysAfterMs?: number
  /** Off: read and report, touch nothing. */
  reconcile: boolean
}

export interface RunnerDeps {
  stores: Stores
  /** Seals and opens messages and events. */
  bodies: Bodies
  clock: Clock
  random: Random
  log: Log
  openSocket: OpenSocket
  unlinkDevice: UnlinkDevice
  /** Left out where nobody asks who connects for its version: then it is the one that is built in. */
  clientVersion?: Pick<VersionDeps, 'builtIn' | 'chosen' | 'readPage'>
  settings: RunnerSettings
  /** Counts what strangers send and no session takes. */
  dropped?: Dropped
  /** Left out where no session is imported or exported. */
  transfer?: TransferSettings
  /** All was handed over because somebody asked for it through the store; the process is to end. */
  drained?: () => void
  /** Exchanged by simulations only: what a surviving disk holds, and the end of a turn of the event loop. */
  workingCopies?: WorkingCopies
  soon?: (task: () => void) => void
}
