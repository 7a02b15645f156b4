import { CodedError } from '#shared/errors.ts'
import type { RunnerId, SessionKey, SessionName, TenantId } from '#shared/ids.ts'
import type { Owner, RunnerRecord, Session } from '#shared/session.ts'
import type { ApiKey } from '#shared/store/api-key-store.ts'
import type { Backup } from '#shared/store/backup-store.ts'
import type { AuditEvent } from '#shared/store/event-store.ts'
import type { FeedItem } from '#shared/store/feed-store.ts'
import type { FleetVersion } from '#shared/store/fleet-store.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import type { OutboxMessage } from '#shared/store/outbox-message.ts'
import type { Removal } from '#shared/store/removal-store.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import type { Tenant } from '#shared/store/tenant-store.ts'
import type { Watch } from '#shared/store/watch.ts'

export type Topic = 'session' | 'owner' | 'runner' | 'outbox' | 'job' | 'removal'

export interface StoredSession {
  session: Session
  /** Of the changes of its want, so that a repeat is known. */
  nonces: Set<string>
}

export interface StoredFeedItem {
  item: FeedItem
  cursor: string
  addedAt: number
}

/**
 * What all clients of the memory stores share. Records are never changed in place, only replaced, so that what was read
 * stays as it was read; and every method of a store takes effect in the very turn in which it is called.
 */
export class MemoryDatabase {
  /** The store's own clock. */
  readonly nowMs: () => number
  /** Runners whose process is known to be gone, as an operating system would know it. */
  readonly provenDead = new Set<RunnerId>()
  readonly tenants = new Map<TenantId, Tenant>()
  readonly salts = new Map<TenantId, Uint8Array>()
  readonly apiKeys = new Map<string, ApiKey>()
  /** By name: whose life it is, the session says. */
  readonly sessions = new Map<SessionName, StoredSession>()
  readonly removals = new Map<SessionKey, Removal>()
  readonly backups = new Map<string, Backup>()
  readonly owners = new Map<SessionKey, Owner>()
  readonly runners = new Map<RunnerId, RunnerRecord>()
  readonly journals = new Map<SessionKey, Map<number, JournalEntry>>()
  readonly snapshots = new Map<SessionKey, Map<string, SnapshotRecord>>()
  readonly blobs = new Map<string, Uint8Array>()
  readonly events = new Map<SessionKey, Map<string, AuditEvent>>()
  readonly outbox = new Map<SessionKey, Map<string, OutboxMessage>>()
  /** Of each message, by session and id, where it stands in the order of acceptance. */
  readonly places = new Map<string, string>()
  readonly feeds = new Map<SessionKey, Map<string, StoredFeedItem>>()
  readonly jobs = new Map<SessionKey, Map<string, Job>>()
  fleetVersion: FleetVersion | undefined
  readonly #watches = new Set<{ topic: Topic; changed: (key: string) => void }>()
  #cursor = 0

  constructor(nowMs: () => number) {
    this.nowMs = nowMs
  }

  /** Cursors only grow, whatever was swept. */
  nextCursor(): string {
    return String(++this.#cursor).padStart(12, '0')
  }

  watch(topic: Topic, changed: (key: string) => void): Watch {
    const watch = { topic, changed }
    this.#watches.add(watch)
    return {
      close: async () => {
        this.#watches.delete(watch)
      },
    }
  }

  note(topic: Topic, key: string): void {
    for (const watch of this.#watches) {
      if (watch.topic === topic)
        queueMicrotask(() => {
          if (this.#watches.has(watch)) watch.changed(key)
        })
    }
  }
}

/** One client of the database: after its close it answers `store_unavailable`. */
export class MemoryClient {
  readonly db: MemoryDatabase
  #closed = false

  constructor(db: MemoryDatabase) {
    this.db = db
  }

  /** @throws CodedError `store_unavailable` */
  open(): MemoryDatabase {
    if (this.#closed) throw new CodedError('store_unavailable', 'the stores are closed')
    return this.db
  }

  close(): void {
    this.#closed = true
  }
}

/** The inner map of a key, made when it is not there. */
export function inner<K, I, V>(map: Map<K, Map<I, V>>, key: K): Map<I, V> {
  const known = map.get(key)
  if (known) return known
  const made = new Map<I, V>()
  map.set(key, made)
  return made
}

/** One page of what is sorted already, with the cursor of the next. */
export function pageOf<T>(
  sorted: readonly T[],
  limit: number,
  cursorOf: (item: T) => string,
): { items: readonly T[]; next?: string } {
  const items = sorted.slice(0, limit)
  const last = items.at(-1)
  return { items, ...(last !== undefined && sorted.length > limit && { next: cursorOf(last) }) }
}

/** Removes all of a session, or what `isOld` says. Answers how many. */
export function sweepOf<V>(
  map: Map<SessionKey, Map<string, V>>,
  key: SessionKey | undefined,
  isOld: (value: V) => boolean,
): number {
  let removed = 0
  for (const [session, values] of map) {
    if (key !== undefined && session !== key) continue
    for (const [id, value] of values) {
      if (key === undefined && !isOld(value)) continue
      values.delete(id)
      removed++
    }
  }
  return removed
}

export const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
