import { CodedError, hasCode } from '#shared/errors.ts'
import type { Owner, Session } from '#shared/session.ts'
import type { PreparedState } from '../state/prepared.ts'
import { SessionState } from '../state/session-state.ts'
import { drop } from './ending.ts'
import type { SessionParts } from './session-parts.ts'
import { supersededBy } from './superseded.ts'

/** Rebuilds the state of a session; see `LiveSession.rehydrate`. */
export async function rehydrateSession(
  parts: SessionParts,
  session: Session,
  owner: Pick<Owner, 'epoch' | 'witness'>,
  prepared?: PreparedState,
): Promise<SessionState | undefined> {
  const { key, held, deps } = parts
  let isWanted = (): boolean => true
  parts.move('rehydrate', () => {
    isWanted = held.begin()
  })
  try {
    const state = await SessionState.open(deps.state, session, key, owner, prepared)
    if (isWanted()) rehydrated(parts, state, session)
    else state.journal.abandon(new CodedError('lease_lost', 'rehydrate: the session was dropped'))
    return held.present === state ? state : undefined
  } catch (error) {
    if (isWanted()) parts.move('not_rehydrated', () => held.unload())
    throw error
  }
}

function rehydrated(parts: SessionParts, state: SessionState, { status }: Session): void {
  const { key, held, identity, superseded, traffic, deps } = parts
  parts.move('rehydrated', () => {
    held.rehydrated(state)
    identity.judge(state.storedCreds())
    identity.wasLinked(status?.authenticatedAt)
    superseded.found(supersededBy(state.rebuilt.snapshots, status?.superseded ?? []))
    traffic.begin(state)
  })
  state.onBroken((error) => {
    if (held.present !== state) return
    if (hasCode(error, 'store_unavailable', 'overloaded', 'store_refused'))
      held.brokeOn(state.journal.undurableSinceMs ?? deps.clock.monotonicMs())
    deps.log.warn({ error, sessionId: key }, 'state broke; the socket is dropped')
    drop(parts, `state: ${error instanceof CodedError ? error.code : 'error'}`)
    deps.wake(key)
  })
}
