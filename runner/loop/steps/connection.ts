import { hasCode } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { RunnerContext } from '../context.ts'
import { openWindow } from '../observe.ts'
import type { Outcome } from '../plan.ts'
import { LiveSession } from '../../session/live-session.ts'
import { archive, liveBlock, liveOf } from './live.ts'
import { dropSession } from './ownership.ts'

/** Rebuilds the working copy. What can't be rebuilt bars this session and no other. */
export async function rehydrate(context: RunnerContext, key: SessionKey, session: Session): Promise<void> {
  const { clock, log, view } = context
  const owner = view.owners.get(key)
  const live = context.live.get(key) ?? new LiveSession(context.sessionDeps, key)
  context.live.set(key, live)
  if (!owner) throw new Error('only an owner rehydrates')
  const startMs = clock.monotonicMs()
  try {
    const state = await live.rehydrate(session, owner, context.preparations.take(key))
    // It was dropped while it was rebuilt: nobody would look after it.
    if (context.live.get(key) !== live) return live.drop('dropped meanwhile')
    const { rebuilt } = state
    if (live.paired && session.status?.authenticatedAt !== undefined)
      live.authenticatedAt = session.status.authenticatedAt
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
    if (!live.paired && session.status?.authenticatedAt !== undefined && nothingLeft) {
      live.block = liveBlock(context, 'failed', lost, undefined)
      log.error({ sessionId: key, why: lost }, 'session cannot be rebuilt; only it is affected')
    }
  } catch (error) {
    if (hasCode(error, 'fenced')) return dropSession(context, key)
    if (!hasCode(error, 'wrong_key', 'newer_format', 'bad_bytes', 'no_state')) throw error
    live.isUnreadable = true
    live.block = liveBlock(context, 'failed', error.code, undefined)
    context.reporter.event(key, { kind: 'fallback', why: error.message, epoch: owner.epoch })
    log.error({ error, sessionId: key }, 'session cannot be rebuilt; only it is affected')
  }
}

/** Connects, or asks for its turn and looks again when it has come. */
export async function openSocket(
  context: RunnerContext,
  key: SessionKey,
  session: Session,
): Promise<Outcome> {
  const { clock, pacer, queue } = context
  const live = liveOf(context, key)
  const askAgainMs = pacer.admit(key, clock.monotonicMs(), live.handedOver)
  if (askAgainMs > 0) {
    queue.addAt(key, askAgainMs)
    return 'not_yet'
  }
  const window = openWindow(session, live, clock.nowMs())
  const pairing = window && (!live.paired || window.replace) ? window : undefined
  if (pairing) await beginPairing(context, key, live)
  live.handedOver = false
  live.connect(session.want.generation, pairing)
  return 'taken'
}

/**
 * Every connection that pairs starts from a new identity: a code dies with its socket, and leftovers of one would try to
 * log in (docs/facts/baileys.md §4.3). Good credentials are kept under a label first.
 */
async function beginPairing(context: RunnerContext, key: SessionKey, live: LiveSession): Promise<void> {
  const { state } = live
  if (!state) return
  if (live.paired) await archive(context, key, live, 'superseded')
  else await state.reset([])
  live.restarted()
  live.authenticatedAt = undefined
  live.me = undefined
}

/** Ends the connection in order. */
export async function closeSocket(
  context: RunnerContext,
  key: SessionKey,
  session: Session,
  why: string,
): Promise<void> {
  const live = liveOf(context, key)
  context.log.info({ sessionId: key, why, generation: session.want.generation }, 'socket is closed')
  await live.closeSocket()
  context.pacer.done(key)
  if (why === 'pairing_over' && session.want.pairing) {
    live.endedWindowId = session.want.pairing.id
    live.pairingNote = 'nobody finished the pairing in time; open another window'
  }
}
