import { folderOf, type SessionKey } from './ids.ts'
import type { Stores } from './store/stores.ts'

/** A place that holds something of a session, under its key. */
export interface Place {
  name: string
  /** Who may clear it: of the objects, control has those of imports and exports only (infra/iam.tf). */
  by: 'anybody' | 'runner'
  /** Leaves nothing of the session there. Harmless when there is nothing. @throws CodedError `store_unavailable` */
  clear(stores: Stores, key: SessionKey): Promise<void>
}

/**
 * The one list of every place that holds something of a session, beside the record that says which life the name has, and
 * the working copies on the runners' own disks. Whoever adds a place adds it here: what ends a life walks this, and a test
 * looks through all stores for what was forgotten.
 */
export const PLACES: readonly Place[] = [
  { name: 'outbox', by: 'anybody', clear: swept('outbox') },
  { name: 'feed', by: 'anybody', clear: swept('feed') },
  { name: 'jobs', by: 'anybody', clear: swept('jobs') },
  { name: 'imports', by: 'anybody', clear: (stores, key) => removeObjects(stores, importsOf(key)) },
  { name: 'exports', by: 'anybody', clear: (stores, key) => removeObjects(stores, exportsOf(key)) },
  { name: 'events', by: 'anybody', clear: swept('events') },
  { name: 'snapshots', by: 'runner', clear: clearSnapshots },
  {
    name: 'journal',
    by: 'runner',
    clear: (stores, key) => stores.journal.truncate(key, Number.MAX_SAFE_INTEGER),
  },
  { name: 'owners', by: 'runner', clear: (stores, key) => stores.owners.remove(key) },
]

/** Clears every place, one after the other. A repeat goes on where it stopped. @throws CodedError `store_unavailable` */
export async function clearLife(stores: Stores, key: SessionKey): Promise<void> {
  for (const place of PLACES) await place.clear(stores, key)
}

/** The same but for the owner's record: while it stands, nobody else takes up what is being cleared. */
export async function clearUnderOwner(stores: Stores, key: SessionKey): Promise<void> {
  for (const place of PLACES) if (place.name !== 'owners') await place.clear(stores, key)
}

/** Where imports wait for a runner, and bundles wait to be fetched; each is named by its job. */
export const importsOf = (key: SessionKey): string => `imports/${folderOf(key)}/`
export const exportsOf = (key: SessionKey): string => `exports/${folderOf(key)}/`
/** Where the snapshots of a session are. */
export const snapshotsOf = (key: SessionKey): string => `snapshots/${folderOf(key)}/`

function swept(port: 'outbox' | 'feed' | 'jobs' | 'events'): Place['clear'] {
  return async (stores, key) => {
    await stores[port].sweep({ key })
  }
}

/** Removes every object whose name begins so. */
export async function removeObjects({ blobs }: Pick<Stores, 'blobs'>, prefix: string): Promise<void> {
  for (const name of await blobs.list(prefix)) await blobs.remove(name)
}

/** The objects that nobody points to any more, or not yet, too. */
async function clearSnapshots(stores: Stores, key: SessionKey): Promise<void> {
  for (const { id, object } of await stores.snapshots.list(key)) {
    await stores.blobs.remove(object)
    await stores.snapshots.remove(key, id)
  }
  await removeObjects(stores, snapshotsOf(key))
}
