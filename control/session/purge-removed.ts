import { keyOf, splitKey } from '#shared/ids.ts'
import type { SessionKey, SessionName } from '#shared/ids.ts'
import type { Removal } from '#shared/store/removal-store.ts'
import type { Stores } from '#shared/store/stores.ts'

const PAGE = 100

/**
 * Has what is left of every life of a name purged: what a runner still works off ends so, and what was kept is opened
 * again for one to destroy. Answers the last of them, `undefined` when there is none. A repeat is harmless.
 */
export async function purgeRemoved({ removals }: Stores, name: SessionName): Promise<Removal | undefined> {
  const { tenant } = splitKey(name as string as SessionKey)
  let last: Removal | undefined
  let after: string | undefined
  do {
    const page = await removals.list({ tenant, name, limit: PAGE, ...(after === undefined ? {} : { after }) })
    for (const { session } of page.items) last = await removals.change(keyOf(session), toPurge)
    after = page.next
  } while (after !== undefined)
  return last
}

/** A removal that is to be worked off and leaves nothing. */
export function toPurge(removal: Removal): Removal | undefined {
  if (removal.purge && removal.phase === 'unlinking') return undefined
  const { until: _, ...rest } = removal
  return { ...rest, purge: true, phase: 'unlinking' }
}
