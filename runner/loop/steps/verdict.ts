import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { RunnerContext } from '../context.ts'
import type { Verdict } from '../../session/disconnect.ts'
import { archive, liveBlock } from './live.ts'

/** B7: a session that fails more than three times in a row is told of. */
const ALERT_AFTER = 4
/** Accounts that were restricted together do not come back together: up to a tenth later than they may. */
const BLOCK_JITTER = 0.1

/** What a close means, done: once for every close, before the next step is planned. */
export async function settleVerdict(
  context: RunnerContext,
  key: SessionKey,
  session: Session,
): Promise<void> {
  const live = context.live.get(key)
  const verdict = live?.verdict
  if (!live || !verdict) return
  const { clock, log, breaker } = context
  // What needs the store comes first: when that is away the verdict stands, and no pass goes on before it is obeyed.
  const isConflict = verdict.next.do === 'arbitrate' && (await isStillOurs(context, key))
  // A login that we gave up a moment ago, and that arrived behind the next, asks nobody: it is tried once more.
  const isOwnDoing = isConflict && context.lateLogins.explain(key, clock.monotonicMs())
  if (verdict.credentials === 'archive' && live.paired) await archive(context, key, live, verdict.why)
  live.verdict = undefined
  context.pacer.done(key)
  const code = live.lastDisconnect?.code
  const why = isOwnDoing ? 'own_late_login' : verdict.why
  if (isOwnDoing && live.lastDisconnect) live.lastDisconnect = { ...live.lastDisconnect, why }
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
      live.attempts >= (session.want.reconnect?.maxAttempts ?? Infinity)
    if (isOver)
      live.block = liveBlock(
        context,
        'failed',
        `${why}; ${live.attempts} attempts failed in a row`,
        undefined,
      )
  } else if (next.do === 'block') {
    const lateBy = 1 + context.random.next() * BLOCK_JITTER
    const until = next.forMs === undefined ? undefined : Math.round(clock.nowMs() + next.forMs * lateBy)
    live.block = liveBlock(context, next.phase, verdict.why, until)
  } else if (next.do === 'unpaired') {
    live.endedWindowId = live.socketWindowId
    live.pairingNote = 'nobody scanned the code in time; open another window'
  } else if (isConflict) {
    live.block = liveBlock(
      context,
      'conflict',
      `since ${new Date(live.lastDisconnect?.at ?? context.clock.nowMs()).toISOString()} another process, not one of ours, uses these credentials; stop it, then POST …/resume`,
      undefined,
    )
  }
  const alert = (verdict.alert && !isOwnDoing) || live.attempts === ALERT_AFTER
  log[alert ? 'error' : 'info'](
    {
      sessionId: key,
      code,
      why,
      next: live.block?.phase ?? next.do,
      attempts: live.attempts,
      ...(live.block ? {} : { retryInMs: Math.max(0, Math.round(live.retryAtMs - clock.monotonicMs())) }),
      alert,
    },
    'connection closed',
  )
}

/** 440: presume that ownership is lost; look who has it. Ours elsewhere: drop quietly. Nobody of ours: a person decides. */
async function isStillOurs({ view, lease }: RunnerContext, key: SessionKey): Promise<boolean> {
  await view.refreshOwner(key)
  return view.owners.get(key)?.runnerId === lease.id
}
