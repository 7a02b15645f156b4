import { hasCode } from '#shared/errors.ts'
import { keyOf, type SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { Removal } from '#shared/store/removal-store.ts'
import { keepBackup, type BackupNeeds } from '../../removal/backup.ts'
import { unlinkForRemoval, type UnlinkRemovedNeeds } from '../../removal/unlink-for-removal.ts'
import { destroyLife, endRemoval, type WorkOffNeeds } from '../../removal/work-off.ts'
import type { Pacer } from '../../pacing/pacer.ts'
import type { LiveSession } from '../../session/live-session.ts'
import { liveOf } from './live.ts'
import { leave, type LeaveNeeds } from './ownership.ts'

export interface RemoveNeeds extends BackupNeeds, UnlinkRemovedNeeds, WorkOffNeeds, LeaveNeeds {
  stores: WorkOffNeeds['stores']
  live: Map<SessionKey, LiveSession>
  view: LeaveNeeds['view']
  lease: LeaveNeeds['lease']
  queue: UnlinkRemovedNeeds['queue'] & LeaveNeeds['queue']
  pacer: Pick<Pacer<SessionKey>, 'done'>
  reporter: WorkOffNeeds['reporter'] & LeaveNeeds['reporter']
}

/**
 * Works a removal off: the device is unlinked or given up, one backup is kept unless it is a purge, everything else of the
 * life is destroyed. It is called again until it is done; each part is noted before the next begins, so that whoever goes
 * on after a crash neither unlinks, keeps nor destroys twice.
 */
export async function remove(context: RemoveNeeds, key: SessionKey, session: Session): Promise<void> {
  const { stores, clock, live: all, pacer, log } = context
  const live = liveOf(context, key)
  const removal = await removalOf(context, session)
  // Somebody else was here, and is done.
  if (removal?.phase !== 'unlinking') return leave(context, key)
  const unlinkResult =
    removal.unlinkResult ??
    live.unlinkResult ??
    (await unlinkForRemoval(context, live, removal.session, removal))
  if (!unlinkResult) return
  const backup =
    removal.unlinkResult || removal.purge ? removal.backup : await keepBackup(context, live, removal.session)
  const endedAt = clock.nowMs()
  const decided = await stores.removals.change(key, (stored) =>
    stored.unlinkResult
      ? undefined
      : { ...stored, unlinkResult, endedAt, ...(backup !== undefined && { backup }) },
  )
  pacer.done(key)
  await live.settle()
  live.unload()
  all.delete(key)
  await destroyLife(context, key)
  const ended = await endRemoval(context, decided)
  context.claims.forget(key)
  context.lateLogins.forget(key)
  context.view.forget(key)
  log.info({ sessionId: key, ended, device: unlinkResult.device, why: unlinkResult.why }, 'session removed')
}

/**
 * A version before there were removals left its wish in the session itself: it becomes a removal like any other. `undefined`
 * when neither is there any more.
 */
async function removalOf(
  { stores, clock, lease }: RemoveNeeds,
  session: Session,
): Promise<Removal | undefined> {
  const key = keyOf(session)
  const purge = session.want.deleting?.purge === true
  const found = await stores.removals.get(key)
  if (found) return found
  try {
    return await stores.sessions.remove(key, { purge, by: lease.id, nowMs: clock.nowMs() })
  } catch (error) {
    if (hasCode(error, 'not_found')) return undefined
    throw error
  }
}
