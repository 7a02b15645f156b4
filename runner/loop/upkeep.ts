import type { SessionKey } from '#shared/ids.ts'
import type { Clock } from '#shared/clock.ts'
import type { LiveSession } from '../session/live-session.ts'
import type { Sessions, Trail } from './needs.ts'
import type { SlowLane } from './slow-lane.ts'

export interface UpkeepNeeds extends Sessions<Pick<LiveSession, 'state'>>, Trail {
  clock: Pick<Clock, 'nowMs'>
  /** Snapshots that are due. */
  snapshots: Pick<SlowLane, 'offer'>
}

/** Has a snapshot taken of an owned session when one is due. Returns at once; a hand-over ends it, and needs none. */
export function snapshotIfDue(context: UpkeepNeeds, key: SessionKey): void {
  const { live, clock, reporter, snapshots } = context
  const state = live.get(key)?.state
  const due = state?.snapshotDue(clock.nowMs())
  if (!state || !due) return
  snapshots.offer(key, async (signal) => {
    // It waited for its turn, and the session may have gone meanwhile.
    if (live.get(key)?.state !== state) return
    const record = await state.snapshot(due, { due: signal })
    reporter.event(key, {
      kind: 'snapshot',
      why: due,
      epoch: state.epoch,
      detail: { seq: record.seq, bytes: record.bytes },
    })
  })
}
