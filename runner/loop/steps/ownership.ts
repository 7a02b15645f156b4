import { hasCode } from '#shared/errors.ts'
import type { RunnerId, SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Session, Status } from '#shared/session.ts'
import { within } from '#shared/within.ts'
import type { Random } from '#shared/random.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Gate } from '../../gate/gate.ts'
import type { Claims } from '../../ownership/claims.ts'
import type { RunnerLease } from '../../ownership/lease.ts'
import type { FleetBreaker } from '../../pacing/breaker.ts'
import type { Pacer } from '../../pacing/pacer.ts'
import { blockUntil } from '../../session/block.ts'
import type { LateLogins } from '../../session/late-logins.ts'
import { LiveSession } from '../../session/live-session.ts'
import type { LiveSessionDeps } from '../../session/live-session-deps.ts'
import type { KeyQueue } from '../key-queue.ts'
import type { Basics, Trail } from '../needs.ts'
import { personSpoke, storedBlock } from '../observe.ts'
import type { Outcome } from '../plan.ts'
import { reportStatus, type ReportNeeds } from '../report-status.ts'
import type { Reporter } from '../reporter.ts'
import type { View } from '../view.ts'

/** A write of a store that is well takes tens of milliseconds, and a hand-over has seconds in all. */
const TOLD_WITHIN_MS = 2_000

/** What a predecessor's last word may be while it has a connection that is about to log in. */
const MAY_LOG_IN: ReadonlySet<Status['phase']> = new Set(['rehydrating', 'connecting', 'backing_off'])

export interface ClaimNeeds extends Basics, Trail {
  stores: { owners: Pick<Stores['owners'], 'claim'>; runners: Pick<Stores['runners'], 'provenDead'> }
  random: Pick<Random, 'id'>
  live: Map<SessionKey, LiveSession>
  sessionDeps: LiveSessionDeps
  view: Pick<View, 'sessions' | 'owners' | 'noteOwner' | 'refreshOwner' | 'refreshSession'>
  lease: Pick<RunnerLease, 'id' | 'isGood' | 'term'>
  claims: Pick<Claims, 'counted' | 'won'>
  breaker: Pick<FleetBreaker, 'asked'>
  lateLogins: Pick<LateLogins, 'inherit'>
}

/** Makes this runner the owner; `lost` when somebody was faster, and who it is has been read anew. */
export const claim = (context: ClaimNeeds, key: SessionKey, session: Session): Promise<Outcome> =>
  context.claims.counted(() => tryClaim(context, key, session))

async function tryClaim(context: ClaimNeeds, key: SessionKey, session: Session): Promise<Outcome> {
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
  const fresh = view.sessions.get(key) ?? session
  const { status } = fresh
  const block = fresh.want.deleting ? undefined : storedBlock(fresh, clock.nowMs())
  if (personSpoke(fresh)) context.breaker.asked(key, clock.monotonicMs())
  const live = new LiveSession(context.sessionDeps, key, {
    block: block && blockUntil(clock, block.phase, status?.reason ?? block.phase, block.until),
    attempts: personSpoke(fresh) ? 0 : (status?.attempts ?? 0),
    handedOver: before?.epoch !== undefined && before.runnerId === undefined && status?.phase === 'connected',
  })
  inheritLogins(context, key, before?.runnerId, status)
  // The lease may have run out meanwhile: then it is claimed anew, or somebody else's.
  if (lease.isGood && lease.term === term) context.live.set(key, live)
  return 'taken'
}

/**
 * A predecessor may have left a connection behind that is about to log in: its last word says so, or it had no chance to say
 * it, since it lost the store and lives on. Nobody waits for the answer.
 */
function inheritLogins(
  { stores, clock, lease, lateLogins }: ClaimNeeds,
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

export interface DropNeeds {
  gate: Pick<Gate, 'leave'>
  live: Map<SessionKey, Pick<LiveSession, 'drop'>>
  lease: Pick<RunnerLease, 'isGood'>
  pacer: Pick<Pacer<SessionKey>, 'done'>
  reporter: Pick<Reporter, 'forget'>
  log: Log
  view: Pick<View, 'refreshOwner'>
}

/** Without a flush: it is not ours to write any more. */
export async function dropSession(context: DropNeeds, key: SessionKey): Promise<void> {
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

export interface LeaveNeeds extends DropNeeds {
  stores: { owners: Pick<Stores['owners'], 'remove'> }
  view: Pick<View, 'sessions' | 'owners' | 'refreshSession' | 'refreshOwner' | 'forget'>
  lease: Pick<RunnerLease, 'id' | 'isGood'>
  queue: Pick<KeyQueue<SessionKey>, 'add'>
  claims: Pick<Claims, 'forget'>
  lateLogins: Pick<LateLogins, 'forget'>
}

/**
 * The session is in no record that was read. Whatever is live of it is dropped; and an owner's record that is still in our
 * name (its life ended while it was claimed) goes, once it was asked again. Nothing is remembered of it. Calling it twice is
 * harmless.
 */
export async function leave(context: LeaveNeeds, key: SessionKey): Promise<void> {
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

export interface ReleaseNeeds extends ReportNeeds {
  gate: Pick<Gate, 'leave'>
  stores: { owners: Pick<Stores['owners'], 'release'> }
  random: Pick<Random, 'id'>
  live: Map<SessionKey, LiveSession>
  view: ReportNeeds['view'] & Pick<View, 'noteOwner' | 'refreshOwner'>
  lease: Pick<RunnerLease, 'id'>
  claims: Pick<Claims, 'giveBack'>
  pacer: Pick<Pacer<SessionKey>, 'done'>
  reporter: ReportNeeds['reporter'] & Pick<Reporter, 'told' | 'background'>
}

/** Everything durable, the status told, then the ownership given back with its epoch kept. */
export async function release(context: ReleaseNeeds, key: SessionKey): Promise<void> {
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
    live.identity.paired &&
    !live.retry.block
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
