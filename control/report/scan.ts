import { keyOf, sessionName, type SessionId, type SessionKey, type TenantId } from '#shared/ids.ts'
import type { Owner, Session } from '#shared/session.ts'
import { parseNameCursor } from '#shared/store/cursor.ts'
import type { Page } from '#shared/store/session-store.ts'
import type { Stores } from '#shared/store/stores.ts'

const PAGE = 500

/** Whose sessions are meant: of one tenant, and there perhaps of some names alone. */
export interface Whose {
  tenant: TenantId
  names?: readonly SessionId[] | undefined
}

export type Owned = readonly [session: Session, owner: Owner | undefined]

/** Every owner by its session. */
export async function ownersOf(stores: Stores): Promise<ReadonlyMap<SessionKey, Owner>> {
  const owners = new Map<SessionKey, Owner>()
  for await (const [key, owner] of stores.owners.scan()) owners.set(key, owner)
  return owners
}

/** One page of sessions with their owners, by name. Nothing of anybody else is read. @throws CodedError `invalid_field` */
export async function ownedPage(
  stores: Stores,
  { tenant, names }: Whose,
  ask: { after?: string | undefined; limit: number },
): Promise<Page<Owned>> {
  const { after, limit } = ask
  const page = names
    ? await namedPage(stores, tenant, names, ask)
    : await stores.sessions.list({ tenant, limit, ...(after === undefined ? {} : { after }) })
  const owners = await stores.owners.getAll(page.items.map(keyOf))
  return { ...page, items: page.items.map((session, index) => [session, owners[index]] as const) }
}

/** Of some names, which are few: each is looked up, so that the size of the tenant does not matter. */
async function namedPage(
  stores: Stores,
  tenant: TenantId,
  names: readonly SessionId[],
  { after, limit }: { after?: string | undefined; limit: number },
): Promise<Page<Session>> {
  const begin = after === undefined ? '' : parseNameCursor(after, tenant)
  const all = names.map((name) => sessionName(tenant, name)).toSorted()
  const rest = all.filter((name) => name > begin)
  const found = await Promise.all(rest.slice(0, limit).map((name) => stores.sessions.find(name)))
  const next = rest[limit - 1]
  return {
    items: found.filter((session) => session !== undefined),
    ...(rest.length > limit && next !== undefined ? { next } : {}),
  }
}

/** Sessions with their owners, in pages: of all tenants, or of whom `whose` says, and then nothing of anybody else is read. */
export async function* ownedSessions(stores: Stores, whose?: Whose): AsyncIterable<Owned> {
  if (!whose) {
    const owners = await ownersOf(stores)
    for await (const session of stores.sessions.scan()) yield [session, owners.get(keyOf(session))]
    return
  }
  let after: string | undefined
  do {
    const page = await ownedPage(stores, whose, { after, limit: PAGE })
    yield* page.items
    after = page.next
  } while (after !== undefined)
}
