import {
  sessionKey,
  type LifeId,
  type RunnerId,
  type SessionId,
  type SessionKey,
  type TenantId,
} from '#shared/ids.ts'
import { unseenStatus, type RunnerRecord, type Status, type Want } from '#shared/session.ts'
import type { Backup } from '#shared/store/backup-store.ts'
import type { AuditEvent } from '#shared/store/event-store.ts'
import type { FeedItem } from '#shared/store/feed-store.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import type { OutboxMessage } from '#shared/store/outbox-message.ts'
import type { SessionStore } from '#shared/store/session-store.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'

/** Some moment: the stores take times as they are given. */
export const AT = 1_790_000_000_000

export const tenant = (name: string) => name as TenantId
export const runner = (name: string) => name as RunnerId
export const keyOf = (tenantName: string, session: string, life?: string): SessionKey =>
  sessionKey(tenant(tenantName), session as SessionId, life as LifeId | undefined)

export const newSession = (
  tenantName: string,
  id: string,
  life?: string,
): Parameters<SessionStore['create']>[0] => ({
  tenant: tenant(tenantName),
  id: id as SessionId,
  ...(life !== undefined && { life: life as LifeId }),
  want: { state: 'running', metadata: {} },
  createdAt: AT,
})

/** An object without one of its fields. */
export function without<T, K extends keyof T>(object: T, field: K): Omit<T, K> {
  const { [field]: _left, ...rest } = object
  return rest
}

/** A change of a want that leaves its mark in the metadata. */
export const mark =
  (name: string) =>
  (want: Want): Omit<Want, 'generation'> => ({
    ...without(want, 'generation'),
    metadata: { ...want.metadata, [name]: 'yes' },
  })

export const status = (epoch: number, more: Partial<Status> = {}): Status => ({
  ...unseenStatus(epoch),
  ...more,
})

export const lease = (id: string, beat: number, more: Partial<RunnerRecord> = {}) => ({
  id: runner(id),
  beat,
  leaseForMs: 10_000,
  draining: false,
  capacity: 100,
  held: 0,
  version: '1.0.0',
  startedAt: AT,
  ...more,
})

export const entry = (seq: number, more: Partial<JournalEntry> = {}): JournalEntry => ({
  seq,
  epoch: 1,
  nonce: `nonce-${seq}`,
  sealed: Uint8Array.of(seq & 0xff, 0, 255, 7),
  ...more,
})

export const snapshot = (seq: number, more: Partial<SnapshotRecord> = {}): SnapshotRecord => ({
  id: `1-${seq}-n`,
  object: `snapshots/t/s/1-${seq}-n`,
  seq,
  epoch: 1,
  bytes: 1_000,
  sha256: 'ab'.repeat(32),
  dataKeyId: 'key-1',
  reason: 'count',
  clean: false,
  at: AT + seq,
  ...more,
})

export const auditEvent = (number: number, more: Partial<AuditEvent> = {}): AuditEvent => ({
  id: `${String(number).padStart(10, '0')}-e`,
  at: AT + number,
  kind: 'phase',
  by: 'runner-1',
  ...more,
})

export const message = (number: number, more: Partial<OutboxMessage> = {}): OutboxMessage => ({
  id: `3EB0${String(number).padStart(6, '0')}`,
  to: '4917000000001@s.whatsapp.net',
  state: 'queued',
  acceptedAt: AT + number,
  updatedAt: AT + number,
  expiresAt: AT + 86_400_000,
  request: Uint8Array.of(number & 0xff, 0, 255),
  ...more,
})

export const feedItem = (number: number, more: Partial<FeedItem> = {}): FeedItem => ({
  id: `A${number}`,
  from: '4917000000002@s.whatsapp.net',
  chat: '4917000000002@s.whatsapp.net',
  text: `text ${number}`,
  kind: 'text',
  at: AT + number,
  ...more,
})

export const job = (number: number, more: Partial<Job> = {}): Job => ({
  id: `job-${number}`,
  kind: 'snapshot',
  args: { label: 'before' },
  state: 'open',
  createdAt: AT + number,
  by: 'control:moor_abc',
  ...more,
})

export const backup = (id: string, more: Partial<Backup> = {}): Backup => ({
  id,
  tenant: tenant('t'),
  origin: keyOf('t', 's', 'l1'),
  dataKeys: [{ id: 'k1', wrapped: Uint8Array.of(1, 2, 255), keyVersion: 'v1', createdAt: AT }],
  snapshot: snapshot(1),
  label: 'deleted',
  createdAt: AT,
  expiresAt: AT + 100,
  ...more,
})
