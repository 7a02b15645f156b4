import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { Random } from '#shared/random.ts'
import type { RunnerLease } from '../../ownership/lease.ts'
import type { FleetBreaker } from '../../pacing/breaker.ts'
import type { Pacer } from '../../pacing/pacer.ts'
import { blockUntil } from '../../session/block.ts'
import type { Verdict } from '../../session/disconnect.ts'
import type { PendingVerdict } from '../../session/last-close.ts'
import type { LateLogins } from '../../session/late-logins.ts'
import type { LiveSession } from '../../session/live-session.ts'
import type { ClientVersions } from '../../version/version.ts'
import type { Basics, Sessions, Trail } from '../needs.ts'
import type { View } from '../view.ts'
import { archive } from './live.ts'

export interface VerdictNeeds extends Basics, Sessions, Trail {
  random: Pick<Random, 'next'>
  lease: Pick<RunnerLease, 'id'>
  view: Pick<View, 'owners' | 'refreshOwner'>
  lateLogins: Pick<LateLogins, 'explain'>
  breaker: Pick<FleetBreaker, 'note' | 'ended'>
  version: Pick<ClientVersions, 'refused'>
  pacer: Pick<Pacer<SessionKey>, 'done' | 'slowUntil'>
}

/** B7: a session that fails more than three times in a row is told of. */
const ALERT_AFTER = 4
const OUTDATED_NOTE =
  'outdated: WhatsApp refuses the version of its client that Mooring is (405); open another window to try a newer one'
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
  if (verdict.fleet === 'outdated') context.version.refused(key)
  else breaker.ended(key)
  if (verdict.fleet) {
    const slowUntilMs = breaker.note(verdict.fleet, key, clock.monotonicMs())
    if (slowUntilMs > 0) context.pacer.slowUntil(slowUntilMs)
  }
  const next = nextOf(live, pending, isOwnDoing)
  if (next.do === 'back_off') {
    const tries = live.backOff(why)
    const isOver =
      tries >= (next.triesMax ?? Infinity) ||
      live.retry.attempts >= (session.want.reconnect?.maxAttempts ?? Infinity)
    if (isOver)
      live.blockBy(
        blockUntil(
          clock,
          'failed',
          `${why}; ${live.retry.attempts} attempts failed in a row${verdict.reason === undefined ? '' : `: ${verdict.reason}`}`,
        ),
      )
  } else if (next.do === 'block') {
    const lateBy = 1 + context.random.next() * BLOCK_JITTER
    const until = next.forMs === undefined ? undefined : Math.round(clock.nowMs() + next.forMs * lateBy)
    live.blockBy(blockUntil(clock, next.phase, verdict.why, until))
  } else if (next.do === 'unpaired') {
    live.endPairing(windowId, next.note)
  } else if (isConflict) {
    const since = new Date(live.lastDisconnect?.at ?? clock.nowMs()).toISOString()
    const reason = `since ${since} another process, not one of ours, uses these credentials; stop it, then POST …/resume`
    live.blockBy(blockUntil(clock, 'conflict', reason))
  }
  const { block, attempts, retryAtMs } = live.retry
  const alert = (verdict.alert && !isOwnDoing) || attempts === ALERT_AFTER
  const reason = next.do === 'unpaired' ? next.note : verdict.reason
  log[alert ? 'error' : 'info'](
    {
      sessionId: key,
      code,
      why,
      ...(reason === undefined ? {} : { reason }),
      next: block?.phase ?? next.do,
      attempts,
      ...(block ? {} : { retryInMs: Math.max(0, Math.round(retryAtMs - clock.monotonicMs())) }),
      alert,
    },
    'connection closed',
  )
}

/** What is to be done, which for one and the same close depends on who connected. */
function nextOf(
  live: LiveSession,
  { verdict, windowId }: PendingVerdict,
  isOwnDoing: boolean,
): Verdict['next'] {
  if (isOwnDoing) return { do: 'back_off' }
  // A person waits, and trying again would not help him: the window ends, and he is told.
  if (verdict.fleet === 'outdated' && windowId !== undefined && !live.identity.paired)
    return { do: 'unpaired', note: OUTDATED_NOTE }
  return verdict.next
}

/** 440: presume that ownership is lost; look who has it. Ours elsewhere: drop quietly. Nobody of ours: a person decides. */
async function isStillOurs({ view, lease }: VerdictNeeds, key: SessionKey): Promise<boolean> {
  await view.refreshOwner(key)
  return view.owners.get(key)?.runnerId === lease.id
}
