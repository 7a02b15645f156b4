import type { SessionKey, TenantId } from '#shared/ids.ts'
import type { Owner, Session } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'

/** Every owner by its session. */
export async function ownersOf(stores: Stores): Promise<ReadonlyMap<SessionKey, Owner>> {
  const owners = new Map<SessionKey, Owner>()
  for await (const [key, owner] of stores.owners.scan()) owners.set(key, owner)
  return owners
}

/** The sessions of one tenant, or of all, in pages. */
export async function* sessionsOf(stores: Stores, tenant: TenantId | undefined): AsyncIterable<Session> {
  if (tenant === undefined) {
    yield* stores.sessions.scan()
    return
  }
  let after: string | undefined
  do {
    const page = await stores.sessions.list({ tenant, limit: 500, ...(after === undefined ? {} : { after }) })
    yield* page.items
    after = page.next
  } while (after !== undefined)
}
