import type { SessionKey } from '#shared/ids.ts'
import type { LiveSession } from '../../session/live-session.ts'
import { PUT_ASIDE } from '../../session/superseded.ts'
import type { Sessions, Trail } from '../needs.ts'

/** The live session of a step that only a live session has. */
export function liveOf<S>({ live }: Sessions<S>, key: SessionKey): S {
  const session = live.get(key)
  if (!session) throw new Error('only a session that is live here has this step')
  return session
}

/** Keeps the credentials under a label, for 30 days, and takes them out of use. */
export async function archive(
  { reporter }: Trail,
  key: SessionKey,
  live: LiveSession,
  why: string,
): Promise<void> {
  const { state } = live
  if (!state) return
  const { me } = (state.storedCreds() ?? {}) as { me?: { id?: string } }
  const { id: snapshot } = await state.snapshot(why, { label: why })
  await state.reset([])
  live.archived({ snapshot, jid: me?.id, linked: PUT_ASIDE.has(why) })
  reporter.event(key, {
    kind: 'snapshot',
    why: `archived: ${why}`,
    epoch: state.epoch,
    detail: { snapshot },
  })
}
