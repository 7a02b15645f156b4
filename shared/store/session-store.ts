import type { LifeId, SessionId, SessionKey, SessionName, TenantId } from '../ids.ts'
import type { DataKey, Session, Status, Want } from '../session.ts'
import type { Removal } from './removal-store.ts'
import type { Watch } from './watch.ts'

/** A page of a listing; `next` is the cursor of the following one, absent on the last. */
export interface Page<T> {
  items: readonly T[]
  next?: string
}

/**
 * The sessions: the want is written by control, the status by the owner, and neither ever overwrites the other. A name has
 * one record, which says whose life it is; what is asked by key is answered, and done, for that life alone.
 */
export interface SessionStore {
  /**
   * Creates a session with `want.generation` 1. Durable when it resolves. Without a life it is as versions before there
   * were lives made it. The tenant's limit of sessions is counted in the same commit; a tenant without a record has none.
   * @throws CodedError `exists` when the name is taken, whatever its life; `limit_reached`; `conflict` (too many writers at
   * once); `store_refused` when the want can never be kept
   */
  create(session: {
    tenant: TenantId
    id: SessionId
    life?: LifeId
    want: Omit<Want, 'generation'>
    createdAt: number
  }): Promise<Session>

  /** The session that has the name now. `undefined` when there is none. */
  find(name: SessionName): Promise<Session | undefined>

  /** `undefined` when there is none, also when the name has another life now. */
  get(key: SessionKey): Promise<Session | undefined>

  /** By name, ascending; `after` is a cursor that an earlier page gave. */
  list(ask: { tenant?: TenantId; after?: string; limit: number }): Promise<Page<Session>>

  /** Every session of every tenant, in no order, for the full pass. Memory stays bounded by pages. */
  scan(): AsyncIterable<Session>

  /**
   * Replaces the want by what `change` makes of it and raises its generation by one. `change` may run more than once
   * and must be pure; when it answers `undefined` nothing is written. With `expectGeneration` the change happens only on
   * that generation. A lost answer is read back by `nonce`, so a repeat with the same nonce changes nothing.
   * @throws CodedError `not_found`, `stale` (another generation), `conflict` (too many writers at once), `store_refused`
   *   (the changed want can never be kept)
   */
  changeWant(
    key: SessionKey,
    change: (want: Want) => Omit<Want, 'generation'> | undefined,
    options: { nonce: string; nowMs: number; expectGeneration?: number },
  ): Promise<Session>

  /**
   * Writes the whole status. The epoch in it must not be lower than the stored one. A repeat is harmless.
   * @throws CodedError `fenced` when a higher epoch wrote, `not_found` when the session is gone, `store_refused`
   */
  reportStatus(key: SessionKey, status: Status, nowMs: number): Promise<void>

  /**
   * Appends a data key, or replaces the one with the same id (a re-wrap). Durable when it resolves; a repeat is harmless.
   * `expectKeys`, when given, is the number of keys the caller saw: two runners can't both create the first one.
   * @throws CodedError `conflict` when the number differs, `not_found`
   */
  putDataKey(key: SessionKey, dataKey: DataKey, options?: { expectKeys?: number }): Promise<void>

  /** Destroys data keys for good: what was sealed with them can never be opened again. A repeat is harmless. */
  destroyDataKeys(key: SessionKey, ids: readonly string[]): Promise<void>

  /**
   * Deletes a session in one commit: its record goes, so that the name is free, and all that it held stands in a removal
   * that is to be worked off. Durable when it resolves; a repeat answers the removal that is there.
   * @throws CodedError `not_found`, `stale` (another generation than `expectGeneration`), `conflict` (too many writers at once)
   */
  remove(
    key: SessionKey,
    ask: { purge: boolean; by: string; nowMs: number; expectGeneration?: number },
  ): Promise<Removal>

  /** Removes the record of a session that has left nothing anywhere. Harmless when there is none, or another life. */
  erase(key: SessionKey): Promise<void>

  /** Calls with the name of every session whose want changed, or that was created or removed. */
  watch(changed: (name: SessionName) => void): Watch
}
