import { createHash } from 'node:crypto'
import { keyOf, nameOfKey, removalId, splitKey, tenantTrail, type SessionKey } from '#shared/ids.ts'
import { clearUnderOwner } from '#shared/registry.ts'
import { eventIdAt, type AuditEvent } from '#shared/store/event-store.ts'
import type { Removal } from '#shared/store/removal-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Reporter } from '../loop/reporter.ts'
import type { WorkingCopies } from '../state/working-copy.ts'
import { backupIdOf, dropBackup, KEEP_REMOVED_MS } from './backup.ts'

const PAGE = 100

export interface WorkOffNeeds {
  stores: Stores
  reporter: Pick<Reporter, 'quiet'>
  workingCopies: Pick<WorkingCopies, 'drop'>
}

/** Leaves nothing of a life but its removal and its owner. A repeat is harmless. @throws CodedError `store_unavailable` */
export async function destroyLife(
  { stores, reporter, workingCopies }: WorkOffNeeds,
  key: SessionKey,
): Promise<void> {
  // What is still being told of it would be found in the stores afterwards.
  await reporter.quiet(key)
  await workingCopies.drop(key)
  await clearUnderOwner(stores, key)
}

/**
 * What was decided of a removal is done, and said. The owner's record goes last: whoever still sees the removal open would
 * claim it else. Answers what it has come to. A repeat is harmless.
 */
export async function endRemoval(
  context: WorkOffNeeds,
  decided: Removal,
): Promise<'kept' | 'still_linked' | 'purged'> {
  const { stores } = context
  const key = keyOf(decided.session)
  const phase = decided.unlinkResult?.device === 'still_linked' ? 'still_linked' : 'kept'
  const now = decided.purge
    ? decided
    : // A purge that was asked for meanwhile wins.
      await stores.removals.change(key, (stored) =>
        stored.purge
          ? undefined
          : {
              ...stored,
              phase,
              until: (stored.endedAt ?? stored.at) + KEEP_REMOVED_MS,
              session: { ...stored.session, dataKeys: [] },
            },
      )
  await tell(context, now, now.purge ? 'purged' : phase)
  if (!now.purge) {
    await stores.owners.remove(key)
    return phase
  }
  if (!now.tenantGone) await purgeEarlier(context, key)
  await forgetRemoval(context, now)
  return 'purged'
}

/** The other lives of the name: what is kept of them goes, and those still under way are to end so. */
async function purgeEarlier(context: WorkOffNeeds, key: SessionKey): Promise<void> {
  const { removals } = context.stores
  const name = nameOfKey(key)
  const { tenant } = splitKey(key)
  let after: string | undefined
  do {
    const page = await removals.list({ tenant, name, limit: PAGE, ...(after === undefined ? {} : { after }) })
    for (const removal of page.items) {
      const other = keyOf(removal.session)
      if (other === key) continue
      if (removal.phase === 'unlinking')
        await removals.change(other, (stored) => (stored.purge ? undefined : { ...stored, purge: true }))
      else await forgetRemoval(context, removal)
    }
    after = page.next
  } while (after !== undefined)
}

/** Nothing is left of it: neither its backup, nor what came to its life when it was over, nor itself. A repeat is harmless. */
export async function forgetRemoval(context: WorkOffNeeds, { session }: Removal): Promise<void> {
  const key = keyOf(session)
  await dropBackup(context.stores, session.tenant, backupIdOf(key))
  await destroyLife(context, key)
  await context.stores.removals.remove(key)
  await context.stores.owners.remove(key)
}

/** The one line that stays of a life, in the trail of its tenant. Named by when it ended, so a repeat writes no second one. */
async function tell({ stores }: Pick<WorkOffNeeds, 'stores'>, removal: Removal, to: string): Promise<void> {
  if (removal.tenantGone) return
  const { session, by, at: deletedAt, endedAt: at = deletedAt, unlinkResult } = removal
  const key = keyOf(session)
  const tail = createHash('sha256').update(key).digest('hex').slice(0, 16)
  const line: AuditEvent = {
    id: eventIdAt(at, tail),
    at,
    kind: 'removal',
    to,
    by,
    ...(unlinkResult?.device === 'still_linked' &&
      unlinkResult.why !== undefined && { why: unlinkResult.why }),
    detail: { removal: removalId(key), deletedAt, device: unlinkResult?.device ?? 'never_linked' },
  }
  await stores.events.append(tenantTrail(session.tenant), line)
}
