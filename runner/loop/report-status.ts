import type { SessionKey } from '#shared/ids.ts'
import type { FleetBreaker } from '../pacing/breaker.ts'
import type { BootReport } from '../pacing/boot-report.ts'
import type { LateLogins } from '../session/late-logins.ts'
import type { LiveSession } from '../session/live-session.ts'
import type { SessionView } from '../session/session-view.ts'
import type { Basics, Sessions } from './needs.ts'
import type { Reporter } from './reporter.ts'
import type { View } from './view.ts'
import { logPhase } from './log-lines.ts'
import { openWindow } from './observe.ts'
import { saysTheSame, statusOf } from './status.ts'

export interface ReportNeeds extends Basics, Sessions<SessionView & Pick<LiveSession, 'waiting'>> {
  view: Pick<View, 'sessions' | 'owners' | 'noteStatus'>
  lateLogins: Pick<LateLogins, 'isOpen'>
  breaker: Pick<FleetBreaker, 'isStopped'>
  reporter: Pick<Reporter, 'status' | 'event' | 'waiting'>
  boot: Pick<BootReport, 'note'>
}

/** Writes the status where it says something new. */
export function reportStatus(context: ReportNeeds, key: SessionKey): void {
  const live = context.live.get(key)
  const session = context.view.sessions.get(key)
  const epoch = context.view.owners.get(key)?.epoch
  // Of one that is removed there is no record any more to write it to.
  if (!live || !session || session.want.deleting || epoch === undefined) return
  const nowMs = context.clock.nowMs()
  const facts = {
    nowMs,
    monotonicMs: context.clock.monotonicMs(),
    waiting: [...live.waiting(), ...context.reporter.waiting(key)],
    epoch,
    pairingOpen: openWindow(session, live, nowMs) !== undefined,
    loginMayBeLate: context.lateLogins.isOpen(key, context.clock.monotonicMs()),
    fleetStopped: context.breaker.isStopped,
  }
  const status = statusOf(live, session, facts)
  if (saysTheSame(session.status, status)) return
  const from = session.status?.phase
  const failedAgain = status.phase === 'backing_off' && session.status?.attempts !== status.attempts
  if (from !== status.phase || failedAgain) {
    const { connection } = live
    const durationMs = connection.is === 'open' ? connection.openSinceMs - connection.begunMs : undefined
    logPhase(context.log, { key, from, status, epoch, durationMs })
  }
  context.view.noteStatus(key, status, nowMs)
  context.reporter.status(key, status)
  if (from === status.phase) return
  const why = status.reason
  const code = status.lastDisconnect?.code
  context.reporter.event(key, {
    kind: 'phase',
    ...(from ? { from } : {}),
    to: status.phase,
    ...(why ? { why } : {}),
    ...(code === undefined || status.phase === 'connected' ? {} : { code }),
    epoch,
  })
  context.boot.note(key, status.phase, status.reason, context.clock.monotonicMs())
}
