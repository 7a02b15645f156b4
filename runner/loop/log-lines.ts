import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import { GRAVE_PHASES, type Phase, type Status } from '#shared/session.ts'
import type { Late } from './late.ts'

/**
 * The lines that somebody counts: `infra/signals.json` and `infra/metrics.tf` make metrics and alerts of them, the queries of
 * `docs/logs.md` look for them. A field that is renamed here is one that nobody is woken by; a test compares the two.
 */

/** Once a minute, and at the start: its absence is the one failure that writes no line of its own. */
export function logBeat(
  log: Log,
  beat: { runnerId: string; held: number; leaseMarginMs: number | undefined },
): void {
  const { leaseMarginMs, ...rest } = beat
  const margin = leaseMarginMs === undefined ? {} : { leaseMarginMs: Math.round(leaseMarginMs) }
  log.info({ ...rest, ...margin }, 'runner beat')
}

/** A session is somewhere else now, or failed once more. `durationMs`: how long the connection took to come up. */
export function logPhase(
  log: Log,
  session: {
    key: SessionKey
    from: Phase | undefined
    status: Status
    epoch: number
    durationMs: number | undefined
  },
): void {
  const { key, from, status, epoch, durationMs } = session
  const { phase, reason, attempts, lastDisconnect } = status
  const isUp = phase === 'connected'
  const fields = {
    sessionId: key,
    epoch,
    generation: status.observedGeneration,
    from,
    phase,
    ...(reason === undefined ? {} : { why: reason }),
    ...(isUp || lastDisconnect?.code === undefined ? {} : { code: lastDisconnect.code }),
    attempts,
    ...(isUp && durationMs !== undefined ? { durationMs: Math.round(durationMs) } : {}),
  }
  if (GRAVE_PHASES.has(phase)) log.warn(fields, 'phase changed')
  else log.info(fields, 'phase changed')
}

/** This runner could not renew in time: everything is dropped at once. */
export function logLeaseLost(log: Log, sessions: number): void {
  log.error({ code: 'lease_lost', sessions }, 'lease lost; every socket is dropped')
}

/** The best base of a session could not be rolled forward; the next one is tried. */
export function logFallback(
  log: Log,
  fallback: { key: SessionKey; base: 'prepared' | 'local' | 'snapshot' | 'empty'; seq: number; why: string },
): void {
  const { key, ...rest } = fallback
  const fields = { sessionId: key, ...rest }
  // What this runner holds is disposable; what the store holds is not.
  if (rest.base === 'local' || rest.base === 'prepared') log.warn(fields, 'restore attempt fell short')
  else log.error({ code: 'restore_fallback', ...fields }, 'restore attempt fell short')
}

/** Once a minute for each kind, for as long as it lasts. */
export function logLate(log: Log, { what, sessions, oldestMs }: Late): void {
  log.error({ what, sessions, oldestMs }, 'something waits for longer than a minute')
}
