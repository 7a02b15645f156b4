import type { SessionKey } from '#shared/ids.ts'
import type { Status, Want } from '#shared/session.ts'
import type { SessionState } from '../state/session-state.ts'
import type { ConnectionView } from './connection.ts'
import type { IdentityView } from './identity.ts'
import type { PairingView } from './pairing.ts'
import type { RetryView } from './retry.ts'
import type { SupersededDevices } from './superseded-devices.ts'

/** What may be known of a session in hand by those who change nothing of it. */
export interface SessionView {
  readonly key: SessionKey
  /** Absent until it was rebuilt, and after it was dropped. */
  readonly state: Pick<SessionState, 'lastSnapshot' | 'witness'> | undefined
  readonly connection: ConnectionView
  readonly identity: IdentityView
  readonly pairing: PairingView
  readonly retry: RetryView
  readonly superseded: Pick<SupersededDevices, 'devices' | 'notBeforeMs'>
  /** Messages that came in are not in the feed yet. */
  readonly isDelivering: boolean
  /** Its state could not be rebuilt, and trying again would not help. */
  readonly isUnreadable: boolean
  readonly lastDisconnect: Status['lastDisconnect']
  /** What there is to say of it beyond its word, for people. */
  readonly closeReason: string | undefined
  /** By which proxy its connections go, from the latest one on. */
  readonly proxy: Want['proxy']
  /** Wall clock. */
  readonly lastActivityAt: number | undefined
}
