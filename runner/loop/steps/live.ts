import type { SessionKey } from '#shared/ids.ts'
import type { RunnerContext } from '../context.ts'
import type { Block } from '../../session/block.ts'
import type { LiveSession } from '../../session/live-session.ts'
import { PUT_ASIDE } from '../../session/superseded.ts'

/** The live session of a step that only a live session has. */
export function liveOf(context: RunnerContext, key: SessionKey): LiveSession {
  const live = context.live.get(key)
  if (!live) throw new Error('only a session that is live here has this step')
  return live
}

/** A block that ends at a wall-clock time, or with a person's word. */
export const liveBlock = (
  context: RunnerContext,
  phase: Block['phase'],
  why: string,
  until: number | undefined,
): Block => ({
  phase,
  why,
  until,
  untilMs: until === undefined ? undefined : context.clock.monotonicMs() + (until - context.clock.nowMs()),
})

/** Keeps the credentials under a label, for 30 days, and takes them out of use. */
export async function archive(
  context: RunnerContext,
  key: SessionKey,
  live: LiveSession,
  why: string,
): Promise<void> {
  const { state } = live
  if (!state) return
  const { me } = (state.storedCreds() ?? {}) as { me?: { id?: string } }
  const record = await state.snapshot(why, { label: why })
  await state.reset([])
  live.paired = false
  if (PUT_ASIDE.has(why)) live.supersede(record.id, me?.id)
  context.reporter.event(key, {
    kind: 'snapshot',
    why: `archived: ${why}`,
    epoch: state.epoch,
    detail: { snapshot: record.id },
  })
}
