import { hasCode } from '#shared/errors.ts'
import type { RunnerId, SessionKey } from '#shared/ids.ts'
import type { Session, Status } from '#shared/session.ts'
import { within } from '#shared/within.ts'
import type { RunnerContext } from '../context.ts'
import { personSpoke, storedBlock } from '../observe.ts'
import type { Outcome } from '../plan.ts'
import { LiveSession } from '../../session/live-session.ts'
import { reportStatus } from '../report-status.ts'
import { liveBlock } from './live.ts'

/** A write of a store that is well takes tens of milliseconds, and a hand-over has seconds in all. */
const TOLD_WITHIN_MS = 2_000

/** What a predecessor's last word may be while it has a connection that is about to log in. */
const MAY_LOG_IN: ReadonlySet<Status['phase']> = new Set(['rehydrating', 'connecting', 'backing_off'])

/** Makes this runner the owner; `lost` when somebody was faster, and who it is has been read anew. */
export const claim = (context: RunnerContext, key: SessionKey, session: Session): Promise<Outcome> =>
  context.claims.counted(() => tryClaim(context, key, session))

async function tryClaim(context: RunnerContext, key: SessionKey, session: Session): Promise<Outcome> {
  const { stores, view, clock, random, lease, log } = context
  const before = view.owners.get(key)
  const startMs = clock.monotonicMs()
  const { term } = lease
  try {
    const owner = await stores.owners.claim({
      key,
      runnerId: lease.id,
      expectEpoch: before?.epoch ?? 0,
      nonce: random.id(),
      nowMs: clock.nowMs(),
    })
    view.noteOwner(key, owner)
    context.claims.won(key, owner.epoch, term)
    const takeover = before?.runnerId !== undefined
    const kind = takeover ? 'takeover' : 'claim'
    context.reporter.event(key, {
      kind,
      epoch: owner.epoch,
      ...(takeover ? { from: String(before.runnerId) } : {}),
    })
    const durationMs = Math.round(clock.monotonicMs() - startMs)
    log.info(
      { sessionId: key, epoch: owner.epoch, from: before?.runnerId, durationMs },
      takeover ? 'session taken over' : 'session claimed',
    )
  } catch (error) {
    if (!hasCode(error, 'owner_changed')) throw error
    await view.refreshOwner(key)
    return 'lost'
  }
  // The want may have changed since it was cached; the status is the predecessor's last word.
  await view.refreshSession(key)
  const live = new LiveSession(context.sessionDeps, key)
  const fresh = view.sessions.get(key) ?? session
  const block = fresh.want.deleting ? undefined : storedBlock(fresh, clock.nowMs())
  if (block) live.block = liveBlock(context, block.phase, fresh.status?.reason ?? block.phase, block.until)
  if (personSpoke(fresh)) context.breaker.reset()
  else live.attempts = fresh.status?.attempts ?? 0
  live.handedOver =
    before?.epoch !== undefined && before.runnerId === undefined && fresh.status?.phase === 'connected'
  inheritLogins(context, key, before?.runnerId, fresh.status)
  // The lease may have run out meanwhile: then it is claimed anew, or somebody else's.
  if (lease.isGood && lease.term === term) context.live.set(key, live)
  return 'taken'
}

/**
 * A predecessor may have left a connection behind that is about to log in: its last word says so, or it had no chance to say
 * it, since it lost the store and lives on. Nobody waits for the answer.
 */
function inheritLogins(
  { stores, clock, lease, lateLogins }: RunnerContext,
  key: SessionKey,
  from: RunnerId | undefined,
  status: Status | undefined,
): void {
  const inherit = (): void => lateLogins.inherit(key, clock.monotonicMs())
  if (status && (status.loginMayBeLate || MAY_LOG_IN.has(status.phase))) return inherit()
  if (from === undefined || from === lease.id) return
  stores.runners.provenDead(from).then((isDead) => {
    if (!isDead) inherit()
  }, inherit)
}

/** Without a flush: it is not ours to write any more. */
export async function dropSession(context: RunnerContext, key: SessionKey): Promise<void> {
  const live = context.live.get(key)
  const why = context.lease.isGood ? 'fenced' : 'lease_lost'
  live?.drop(why)
  context.gate.leave(key)
  context.live.delete(key)
  context.pacer.done(key)
  context.reporter.forget(key)
  context.log.warn({ sessionId: key, why }, 'session dropped')
  await context.view.refreshOwner(key).catch(() => undefined)
}

/**
 * The session is in no record that was read. Whatever is live of it is dropped; and an owner's record that is still in our
 * name (its life ended while it was claimed) goes, once it was asked again. Nothing is remembered of it. Calling it twice is
 * harmless.
 */
export async function leave(context: RunnerContext, key: SessionKey): Promise<void> {
  const { view, live, lease, stores, queue, claims, lateLogins } = context
  const isOurs = live.has(key) || view.owners.get(key)?.runnerId === lease.id
  if (!isOurs) {
    claims.forget(key)
    lateLogins.forget(key)
    return
  }
  await view.refreshSession(key)
  if (view.sessions.has(key)) return queue.add(key)
  if (live.has(key)) await dropSession(context, key)
  else await view.refreshOwner(key)
  if (view.owners.get(key)?.runnerId === lease.id) await stores.owners.remove(key)
  claims.forget(key)
  lateLogins.forget(key)
  view.forget(key)
}

/** Everything durable, the status told, then the ownership given back with its epoch kept. */
export async function release(context: RunnerContext, key: SessionKey): Promise<void> {
  const { view, stores, lease, clock, random, log } = context
  const owner = view.owners.get(key)
  const live = context.live.get(key)
  const session = view.sessions.get(key)
  const startMs = clock.monotonicMs()
  // Handed over while it runs: the successor tells the next status, and saving this write shortens the gap.
  const handedOver =
    session !== undefined &&
    live !== undefined &&
    session.want.state === 'running' &&
    live.paired &&
    !live.block
  context.gate.leave(key)
  await live?.settle()
  const witness = live?.state?.witness
  if (!handedOver) reportStatus(context, key)
  // A store that hangs must not keep the session here; the status goes on being told.
  await within(clock, TOLD_WITHIN_MS, context.reporter.told(key))
  live?.unload()
  context.live.delete(key)
  context.pacer.done(key)
  if (!owner || owner.runnerId !== lease.id) return
  const { epoch } = owner
  const nonce = random.id()
  const give = async (): Promise<void> => {
    await stores.owners.release({ key, runnerId: lease.id, epoch, nonce, nowMs: clock.nowMs(), witness })
    view.noteOwner(key, { epoch, since: clock.nowMs(), nonce, ...(witness && { witness }) })
  }
  // Not ours from here on: of a release whose answer is lost nobody knows whether, or when, it is done.
  context.claims.giveBack(key, epoch)
  try {
    await give()
  } catch (error) {
    if (hasCode(error, 'fenced')) await view.refreshOwner(key)
    else context.reporter.background(key, give)
  }
  context.reporter.event(key, { kind: 'release', epoch: owner.epoch })
  log.info(
    { sessionId: key, epoch: owner.epoch, durationMs: Math.round(clock.monotonicMs() - startMs) },
    'session released',
  )
}
