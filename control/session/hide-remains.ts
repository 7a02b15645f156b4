import { keyOf, tenantTrail } from '#shared/ids.ts'
import type { TenantId } from '#shared/ids.ts'
import type { Stores } from '#shared/store/stores.ts'
import { toPurge } from './purge-removed.ts'

const PAGE = 100

/**
 * What a tenant without sessions leaves behind is nobody's from now on: a tenant of the same name sees nothing of it. Backups
 * are destroyed, removals are purged by the runners out of sight, the audit trails go. A repeat goes on where it stopped.
 */
export async function hideRemains(
  { backups, events, removals }: Pick<Stores, 'backups' | 'events' | 'removals'>,
  tenant: TenantId,
): Promise<void> {
  // What was discarded, or hidden, is in no list any more: the first page is always the next one.
  for (;;) {
    const { items } = await backups.list({ tenant, limit: PAGE })
    for (const { id } of items) await backups.discard(tenant, id)
    if (items.length === 0) break
  }
  for (;;) {
    const { items } = await removals.list({ tenant, limit: PAGE })
    for (const { session } of items) {
      const key = keyOf(session)
      await removals.change(key, (removal) => ({ ...(toPurge(removal) ?? removal), tenantGone: true }))
      await events.sweep({ key })
    }
    if (items.length === 0) break
  }
  await events.sweep({ key: tenantTrail(tenant) })
}
