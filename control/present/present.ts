import type { z } from '@hono/zod-openapi'
import { splitKey } from '#shared/ids.ts'
import type { SessionKey } from '#shared/ids.ts'
import { shownOf } from '#shared/sealing/proxy.ts'
import type { Owner, Phase, Session, Status, Want } from '#shared/session.ts'
import type { AuditEvent } from '#shared/store/event-store.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { FleetView } from '../report/fleet.ts'
import { isHeld } from '../report/fleet.ts'
import type { JobSchema, SessionSchema, StatusSchema, WantSchema } from './schemas.ts'

export type PresentedSession = z.infer<typeof SessionSchema>

export const iso = (ms: number): string => new Date(ms).toISOString()
export const isoOrNull = (ms: number | undefined): string | null => (ms === undefined ? null : iso(ms))

/** The record without the properties that are `undefined`, for types that know absent but not undefined. */
export function defined<T extends object>(record: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as never
}

/** Phases that only a runner with the session in its hands can be in. */
const HELD_PHASES: ReadonlySet<Phase> = new Set([
  'pending',
  'rehydrating',
  'connecting',
  'connected',
  'backing_off',
  'pairing',
])

/**
 * Where a session is, as far as that is known now. What a runner saw last is believed while that runner is alive; after
 * that nobody holds a socket, and to go on saying `connected` would be a lie.
 */
export function phaseNow(
  session: Pick<Session, 'want' | 'status'>,
  owner: Owner | undefined,
  fleet: FleetView,
): { phase: Phase; reason?: string } {
  const { want, status } = session
  const held = isHeld(owner, fleet)
  const known = status !== undefined && status.epoch >= (owner?.epoch ?? 0)
  if (status && held && known) return seen(status)
  const rests = status !== undefined && !HELD_PHASES.has(status.phase)
  if (rests && !(status.phase === 'stopped' && want.state === 'running')) return seen(status)
  if (want.state === 'stopped') return { phase: 'stopped' }
  return { phase: 'pending', reason: whyPending(owner, held, fleet) }
}

const seen = (status: Status): { phase: Phase; reason?: string } =>
  status.reason === undefined ? { phase: status.phase } : { phase: status.phase, reason: status.reason }

function whyPending(owner: Owner | undefined, held: boolean, fleet: FleetView): string {
  if (held) return `Runner ${owner?.runnerId} has taken it and has not reported yet.`
  if (fleet.alive.size === 0) return 'No runner is alive. The session starts as soon as one is.'
  if (owner?.runnerId !== undefined) return `Runner ${owner.runnerId} is gone. Another one takes it over.`
  return 'Waiting for a runner to take it.'
}

export function presentSession(
  session: Session,
  owner: Owner | undefined,
  fleet: FleetView,
): PresentedSession {
  return {
    id: session.id,
    tenant: session.tenant,
    life: session.life ?? null,
    want: presentWant(session.want),
    status: presentStatus(session, owner, fleet),
    createdAt: iso(session.createdAt),
    updatedAt: iso(session.updatedAt),
  }
}

function presentWant(want: Want): z.infer<typeof WantSchema> {
  const { state, generation, restart, resume, pairing, deleting, reconnect, proxy, metadata } = want
  // One by one: a want of an earlier version may hold what nothing reads any more.
  return {
    state,
    generation,
    ...defined({
      restart,
      resume,
      pairing: pairing && presentWindow(pairing),
      deleting,
      reconnect,
      proxy: proxy && { url: shownOf(proxy) },
    }),
    metadata,
  }
}

export const presentWindow = (window: NonNullable<Want['pairing']>) => ({
  id: window.id,
  method: window.method,
  ...(window.phone === undefined ? {} : { phone: window.phone }),
  replace: window.replace,
  openedAt: iso(window.openedAtMs),
  expiresAt: iso(window.expiresAtMs),
})

function presentStatus(
  session: Session,
  owner: Owner | undefined,
  fleet: FleetView,
): z.infer<typeof StatusSchema> {
  const { phase, reason } = phaseNow(session, owner, fleet)
  const { status } = session
  const last = status?.lastDisconnect
  const pairing = phase === 'pairing' ? status?.pairing : undefined
  return {
    phase,
    reason: reason ?? null,
    observedGeneration: status?.observedGeneration ?? 0,
    phone: status?.phone ?? null,
    jid: status?.jid ?? null,
    deviceId: status?.deviceId ?? null,
    owner:
      owner?.runnerId === undefined
        ? null
        : {
            runnerId: owner.runnerId,
            epoch: owner.epoch,
            since: iso(owner.since),
            alive: isHeld(owner, fleet),
          },
    ...(pairing ? { pairing: { ...pairing, expiresAt: iso(pairing.expiresAt) } } : {}),
    connectedAt: phase === 'connected' ? isoOrNull(status?.connectedAt) : null,
    authenticatedAt: isoOrNull(status?.authenticatedAt),
    lastActivityAt: isoOrNull(status?.lastActivityAt),
    lastDisconnect: last ? { code: last.code ?? null, why: last.why, at: iso(last.at) } : null,
    attempts: status?.attempts ?? 0,
    nextAttemptAt: phase === 'backing_off' ? isoOrNull(status?.nextAttemptAt) : null,
    ...(status?.until === undefined ? {} : { until: iso(status.until) }),
    snapshot: status?.snapshot ? { ...status.snapshot, at: iso(status.snapshot.at) } : null,
    waiting: (status?.waiting ?? []).map(({ what, since }) => ({ what, since: iso(since) })),
    superseded: (status?.superseded ?? []).map((device) => ({
      jid: device.jid ?? null,
      state: device.state,
      why: device.why ?? null,
      snapshot: device.snapshot,
      tries: device.tries,
      at: iso(device.at),
    })),
    uptime: status?.uptime ?? { connectedMs: 0, wantedMs: 0, connects: 0, disconnects: 0 },
  }
}

/** The arguments stay inside: they may hold sealed secrets, and `object` is a name in the store. */
export function presentJob(job: Job): z.infer<typeof JobSchema> {
  const { object: _, ...result } = job.result ?? {}
  return {
    id: job.id,
    kind: job.kind,
    state: job.state,
    createdAt: iso(job.createdAt),
    finishedAt: isoOrNull(job.finishedAt),
    ...(job.result ? { result } : {}),
    ...(job.error ? { error: job.error } : {}),
    by: job.by,
  }
}

export function presentEvent(key: SessionKey, event: AuditEvent) {
  const { tenant, session } = splitKey(key)
  return {
    id: event.id,
    at: iso(event.at),
    tenant,
    // The tenant's own trail is of no session.
    ...(session !== '' && { session }),
    kind: event.kind,
    by: event.by,
    ...defined({
      from: event.from,
      to: event.to,
      why: event.why,
      code: event.code,
      epoch: event.epoch,
      detail: event.detail,
    }),
  }
}
