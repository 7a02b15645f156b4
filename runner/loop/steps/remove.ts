import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { RunnerContext } from '../context.ts'
import { DELETED } from '../observe.ts'
import { archive, liveBlock, liveOf } from './live.ts'
import { release } from './ownership.ts'

/**
 * Deletes a session: unlink it, then destroy everything (purge), or keep one labelled backup and the record that can open
 * it until somebody purges both. Repeating it after a crash goes on where it stopped.
 */
export async function remove(context: RunnerContext, key: SessionKey, session: Session): Promise<void> {
  const { stores, log } = context
  const live = liveOf(context, key)
  if (live.socketIs === 'open') await live.socket?.logout().catch(() => undefined)
  await live.closeSocket()
  const purge = session.want.deleting?.purge === true
  await Promise.all([stores.outbox.sweep({ key }), stores.feed.sweep({ key }), stores.jobs.sweep({ key })])
  if (!purge) {
    if (live.state && live.paired) await archive(context, key, live, 'deleted')
    live.block = liveBlock(context, 'stopped', DELETED, undefined)
    log.info({ sessionId: key, purge }, 'session deleted; its backup is kept')
    return release(context, key)
  }
  await live.settle()
  live.unload()
  context.live.delete(key)
  context.reporter.forget(key)
  await context.reporter.told(key)
  await destroy(context, key, session)
  log.info({ sessionId: key, purge }, 'session deleted')
}

/** Nothing of the session is left afterwards. The keys go last but the record: until then a repeat finds what it needs. */
async function destroy(context: RunnerContext, key: SessionKey, session: Session): Promise<void> {
  const { stores, view, workingCopies } = context
  for (const snapshot of await stores.snapshots.list(key)) {
    await stores.blobs.remove(snapshot.object)
    await stores.snapshots.remove(key, snapshot.id)
  }
  await stores.journal.truncate(key, Number.MAX_SAFE_INTEGER)
  await workingCopies.drop(key)
  await stores.events.sweep({ key })
  const ids = session.dataKeys.map((dataKey) => dataKey.id)
  await stores.sessions.destroyDataKeys(key, ids)
  await stores.sessions.remove(key)
  await stores.owners.remove(key)
  view.forget(key)
}
