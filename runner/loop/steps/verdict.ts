import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { Random } from '#shared/random.ts'
import type { RunnerLease } from '../../ownership/lease.ts'
import type { FleetBreaker } from '../../pacing/breaker.ts'
import type { Pacer } from '../../pacing/pacer.ts'
import { blockUntil } from '../../session/block.ts'
import type { Verdict } from '../../session/disconnect.ts'
import type { LateLogins } from '../../session/late-logins.ts'
import type { Basics, Sessions, Trail } from '../needs.ts'
import type { View } from '../view.ts'
import { archive } from './live.ts'

export interface VerdictNeeds extends Basics, Sessions, Trail {
  random: Pick<Random, 'next'>
  lease: Pick<RunnerLease, 'id'>
  view: Pick<View, 'owners' | 'refreshOwner'>
  lateLogins: Pick<LateLogins, 'explain'>
  breaker: Pick<FleetBreaker, 'note'>
  pacer: Pick<Pacer<SessionKey>, 'done' | 'slowUntil'>
}

/** B7: a session that fails more than three times in a row is told of. */
const ALERT_AFTER = 4
/** Accounts that were restricted together do not come back together: up to a tenth later than they may. */
const BLOCK_JITTER = 0.1

/** What a close means, done: once for every close, before the next step is planned. */
export async function settleVerdict(context: VerdictNeeds, key: SessionKey, session: Session): Promise<void> {
  const live = context.live.get(key)
  const pending = live?.pendingVerdict
  if (!live || !pending) return
  const { verdict, windowId } = pending
  const { clock, log, breaker } = context
  // What needs the store comes first: when that is away the verdict stands, and no pass goes on before it is obeyed.
  const isConflict = verdict.next.do === 'arbitrate' && (await isStillOurs(context, key))
  // A login that we gave up a moment ago, and that arrived behind the next, asks nobody: it is tried once more.
  const isOwnDoing = isConflict && context.lateLogins.explain(key, clock.monotonicMs())
  if (verdict.credentials === 'archive' && live.identity.paired)
    await archive(context, key, live, verdict.why)
  const why = isOwnDoing ? 'own_late_login' : verdict.why
  live.judged(why)
  context.pacer.done(key)
  const code = live.lastDisconnect?.code
  context.reporter.event(key, {
    kind: 'close',
    why,
    ...(code === undefined ? {} : { code }),
    epoch: live.state?.epoch ?? 0,
  })
  if (verdict.fleet) {
    const slowUntilMs = breaker.note(verdict.fleet, key, clock.monotonicMs())
    if (slowUntilMs > 0) context.pacer.slowUntil(slowUntilMs)
  }
  const next: Verdict['next'] = isOwnDoing ? { do: 'back_off' } : verdict.next
  if (next.do === 'back_off') {
    const tries = live.backOff(why)
    const isOver =
      tries >= (next.triesMax ?? Infinity) ||
      live.retry.attempts >= (session.want.reconnect?.maxAttempts ?? Infinity)
    if (isOver)
      live.blockBy(blockUntil(clock, 'failed', `${why}; ${live.retry.attempts} attempts failed in a row`))
  } else if (next.do === 'block') {
    const lateBy = 1 + context.random.next() * BLOCK_JITTER
    const until = next.forMs === undefined ? undefined : Math.round(clock.nowMs() + next.forMs * lateBy)
    live.blockBy(blockUntil(clock, next.phase, verdict.why, until))
  } else if (next.do === 'unpaired') {
    live.endPairing(windowId, 'nobody scanned the code in time; open another window')
  } else if (isConflict) {
    const since = new Date(live.lastDisconnect?.at ?? clock.nowMs()).toISOString()
    const reason = `since ${since} another process, not one of ours, uses these credentials; stop it, then POST …/resume`
    live.blockBy(blockUntil(clock, 'conflict', reason))
  }
  const { block, attempts, retryAtMs } = live.retry
  const alert = (verdict.alert && !isOwnDoing) || attempts === ALERT_AFTER
  log[alert ? 'error' : 'info'](
    {
      sessionId: key,
      code,
      why,
      ...(verdict.reason === undefined ? {} : { reason: verdict.reason }),
      next: block?.phase ?? next.do,
      attempts,
      ...(block ? {} : { retryInMs: Math.max(0, Math.round(retryAtMs - clock.monotonicMs())) }),
      alert,
    },
    'connection closed',
  )
}

/** 440: presume that ownership is lost; look who has it. Ours elsewhere: drop quietly. Nobody of ours: a person decides. */
async function isStillOurs({ view, lease }: VerdictNeeds, key: SessionKey): Promise<boolean> {
  await view.refreshOwner(key)
  return view.owners.get(key)?.runnerId === lease.id
}
