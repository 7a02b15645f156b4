import { hasCode } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { Preparations } from '../../ownership/preparations.ts'
import type { FleetBreaker } from '../../pacing/breaker.ts'
import type { Pacer } from '../../pacing/pacer.ts'
import { blockUntil } from '../../session/block.ts'
import { LiveSession } from '../../session/live-session.ts'
import type { LiveSessionDeps } from '../../session/live-session-deps.ts'
import type { ClientVersions } from '../../version/version.ts'
import type { KeyQueue } from '../key-queue.ts'
import type { Basics, Sessions, Trail } from '../needs.ts'
import { openWindow } from '../observe.ts'
import type { Outcome } from '../plan.ts'
import type { View } from '../view.ts'
import { archive, liveOf } from './live.ts'
import { dropSession, type DropNeeds } from './ownership.ts'

export interface RehydrateNeeds extends Basics, Trail, DropNeeds {
  live: Map<SessionKey, LiveSession>
  sessionDeps: LiveSessionDeps
  view: Pick<View, 'owners' | 'refreshOwner'>
  preparations: Pick<Preparations, 'take'>
  reporter: DropNeeds['reporter'] & Trail['reporter']
}

/** Rebuilds the working copy. What can't be rebuilt blocks this session and no other. */
export async function rehydrate(context: RehydrateNeeds, key: SessionKey, session: Session): Promise<void> {
  const { clock, log, view } = context
  const owner = view.owners.get(key)
  const live = context.live.get(key) ?? new LiveSession(context.sessionDeps, key)
  context.live.set(key, live)
  if (!owner) throw new Error('only an owner rehydrates')
  const startMs = clock.monotonicMs()
  try {
    const state = await live.rehydrate(session, owner, context.preparations.take(key))
    if (!state) return
    const { rebuilt } = state
    for (const why of rebuilt.troubles)
      context.reporter.event(key, { kind: 'fallback', why, epoch: owner.epoch })
    const durationMs = Math.round(clock.monotonicMs() - startMs)
    log.info(
      {
        sessionId: key,
        epoch: owner.epoch,
        from: rebuilt.from,
        complete: rebuilt.complete,
        entries: rebuilt.entriesReplayed,
        tail: rebuilt.tail,
        seq: state.journal.seq,
        durationMs,
      },
      'session rehydrated',
    )
    // Once paired, a session without anything left must not turn into a new identity in silence.
    const hasNothing = rebuilt.from === 'nothing' && rebuilt.snapshots.length === 0
    const lost = hasNothing ? 'credentials_missing' : 'credentials_damaged'
    const nothingLeft = !rebuilt.complete || rebuilt.from === 'nothing'
    if (!live.identity.paired && session.status?.authenticatedAt !== undefined && nothingLeft) {
      live.blockBy(blockUntil(clock, 'failed', lost))
      log.error({ sessionId: key, why: lost }, 'session cannot be rebuilt; only it is affected')
    }
  } catch (error) {
    if (hasCode(error, 'fenced')) return dropSession(context, key)
    if (!hasCode(error, 'wrong_key', 'newer_format', 'bad_bytes', 'no_state')) throw error
    live.unreadable(blockUntil(clock, 'failed', error.code))
    context.reporter.event(key, { kind: 'fallback', why: error.message, epoch: owner.epoch })
    log.error({ error, sessionId: key }, 'session cannot be rebuilt; only it is affected')
  }
}

export interface OpenNeeds extends Basics, Sessions, Trail {
  pacer: Pick<Pacer<SessionKey>, 'admit' | 'done'>
  queue: Pick<KeyQueue<SessionKey>, 'addAt'>
  breaker: Pick<FleetBreaker, 'admit' | 'isProbe'>
  version: Pick<ClientVersions, 'begins'>
}

/** Connects, or asks for its turn and looks again when it has come. */
export async function openSocket(context: OpenNeeds, key: SessionKey, session: Session): Promise<Outcome> {
  const { clock, pacer, queue, breaker, version } = context
  const live = liveOf(context, key)
  const askAgainMs = pacer.admit(key, clock.monotonicMs(), live.handedOver)
  if (askAgainMs > 0) {
    queue.addAt(key, askAgainMs)
    return 'not_yet'
  }
  const stoppedUntilMs = breaker.admit(key, clock.monotonicMs())
  if (stoppedUntilMs > 0) {
    pacer.done(key)
    queue.addAt(key, stoppedUntilMs)
    return 'not_yet'
  }
  // Before anything can fail: another proxy is tried at once, but once.
  live.goBy(session.want.proxy)
  const window = openWindow(session, live, clock.nowMs())
  const pairing = window && (!live.identity.paired || window.replace) ? window : undefined
  if (pairing) await beginPairing(context, key, live)
  version.begins(key, breaker.isProbe(key))
  live.connect(session.want.generation, pairing)
  return 'taken'
}

/**
 * Every connection that pairs starts from a new identity: a code dies with its socket, and leftovers of one would try to
 * log in (docs/facts/baileys.md §4.3). Good credentials are kept under a label first.
 */
async function beginPairing(context: Trail, key: SessionKey, live: LiveSession): Promise<void> {
  const { state } = live
  if (!state) return
  if (live.identity.paired) await archive(context, key, live, 'superseded')
  else await state.reset([])
  live.exchanged()
  live.forgetIdentity()
}

export interface CloseNeeds extends Basics, Sessions {
  pacer: Pick<Pacer<SessionKey>, 'done'>
  breaker: Pick<FleetBreaker, 'ended'>
}

/** Ends the connection in order. */
export async function closeSocket(
  context: CloseNeeds,
  key: SessionKey,
  session: Session,
  why: string,
): Promise<void> {
  const live = liveOf(context, key)
  context.log.info({ sessionId: key, why, generation: session.want.generation }, 'socket is closed')
  await live.closeSocket()
  context.pacer.done(key)
  context.breaker.ended(key)
  if (why === 'pairing_over' && session.want.pairing)
    live.endPairing(session.want.pairing.id, 'nobody finished the pairing in time; open another window')
}
