import type { SessionKey } from '#shared/ids.ts'
import { PLACES } from '#shared/registry.ts'
import type { Owner, Session } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'

/**
 * True for a session that no runner has ever had: there are no credentials, no keys and no device on a phone, so nobody
 * but control is needed to remove it.
 */
export const isUntouched = (session: Session, owner: Owner | undefined): boolean =>
  owner === undefined && session.status === undefined && session.dataKeys.length === 0

/**
 * Removes an untouched session and what hangs on it. The record goes last, so that a repeat after a failure finds its way
 * back here. A runner that claims it in between finds it gone, as it would after any deletion.
 */
export async function eraseUntouched(stores: Stores, key: SessionKey): Promise<void> {
  for (const place of PLACES) if (place.by === 'anybody') await place.clear(stores, key)
  await stores.sessions.erase(key)
}
