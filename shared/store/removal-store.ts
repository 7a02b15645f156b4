import type { SessionKey, SessionName, TenantId } from '../ids.ts'
import type { Session } from '../session.ts'
import type { Page } from './session-store.ts'
import type { Watch } from './watch.ts'

/** What became of the device that a deleted session was. `still_linked`: only a person can take it off the phone. */
export interface UnlinkResult {
  device: 'unlinked' | 'never_linked' | 'still_linked'
  /** For people. */
  why?: string
}

/** What is left to do of a life that was deleted, and afterwards what was done. Times are milliseconds since 1970. */
export interface Removal {
  /** The whole record as it was deleted; without its data keys once it is worked off. */
  session: Session
  /** Nothing is kept of any life of the name, and this record goes too when it is done. */
  purge: boolean
  by: string
  at: number
  /** `unlinking`: to be worked off by a runner. The others are ends. */
  phase: 'unlinking' | 'kept' | 'still_linked'
  /** How often WhatsApp was asked in vain to unlink the device. */
  tries: number
  /** Known once the device is unlinked, or is given up; from then on the state of the session is needed no more. */
  unlinkResult?: UnlinkResult
  /** The backup that is kept of it. */
  backup?: string
  /** When it was worked off; it names the line of the audit trail, so that a repeat writes no second one. */
  endedAt?: number
  /** For an end: from then on it is forgotten. */
  until?: number
  /** Its tenant was deleted after it: nobody may see it, and a tenant of the same name has nothing to do with it. */
  tenantGone?: true
}

/** What happens to deleted sessions. `sessions.remove` makes the records. */
export interface RemovalStore {
  get(key: SessionKey): Promise<Removal | undefined>
  /**
   * Those of a tenant, or of the lives of one name of it, by key, ascending; without those whose tenant is gone. `after` is
   * a cursor of an earlier page.
   */
  list(ask: { tenant: TenantId; name?: SessionName; after?: string; limit: number }): Promise<Page<Removal>>
  /** The open ones (`unlinking`) of every tenant, in no order, for the full pass. */
  scan(): AsyncIterable<Removal>
  /** Those whose `until` is not after `nowMs`, at most `limit`, in no order. */
  due(nowMs: number, limit: number): Promise<readonly Removal[]>
  /**
   * Replaces a removal by what `change` makes of it, if it did not change in between. `change` may run more than once and
   * must be pure; when it answers `undefined` nothing is written. Answers what is stored then. Durable when it resolves.
   * @throws CodedError `not_found`, `conflict` (too many writers at once)
   */
  change(key: SessionKey, change: (removal: Removal) => Removal | undefined): Promise<Removal>
  /** Forgets it, and within seconds also what watches were told of it. Harmless when there is none. */
  remove(key: SessionKey): Promise<void>
  /** Calls with the key of every removal that was made, changed or forgotten. */
  watch(changed: (key: SessionKey) => void): Watch
}
