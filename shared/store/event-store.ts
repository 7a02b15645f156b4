import type { SessionKey, TenantId } from '../ids.ts'
import type { Page } from './session-store.ts'

/** One line of the audit trail. */
export interface AuditEvent {
  /** Time-ordered: sorts as it happened. */
  id: string
  at: number
  /** `phase`, `close`, `claim`, `release`, `takeover`, `fenced`, `snapshot`, `restore`, `fallback`, `pairing`, `retire`, `set_aside`, `job`, `want` … */
  kind: string
  from?: string
  to?: string
  why?: string
  code?: number
  /** A runner id, or `control` and the key's prefix. */
  by: string
  epoch?: number
  /** Further facts, never credentials or message bodies. */
  detail?: Record<string, string | number | boolean>
}

const TIME_DIGITS = 15

/** Ids that sort as time goes: the time first, then something that tells two of one millisecond apart. */
export const eventIdAt = (atMs: number, tail: string): string =>
  `${String(Math.max(0, Math.trunc(atMs))).padStart(TIME_DIGITS, '0')}-${tail}`

/** The audit trail, kept 30 days. */
export interface EventStore {
  /** Durable when it resolves; a repeat with the same id is harmless. @throws CodedError `store_refused` when it can never be kept */
  append(key: SessionKey, event: AuditEvent): Promise<void>
  /** Newest first; `after` is a cursor of an earlier page. */
  list(key: SessionKey, ask: { after?: string; limit: number }): Promise<Page<AuditEvent>>
  /** Events of a tenant (or of all) with an id higher than `afterId`, ascending, for a live stream. */
  since(ask: {
    tenant?: TenantId
    afterId: string
    limit: number
  }): Promise<readonly (AuditEvent & { key: SessionKey })[]>
  /** Removes all of a session, or what is older than `olderThanMs`. Answers how many. */
  sweep(ask: { key?: SessionKey; olderThanMs?: number }): Promise<number>
}
