import { createHash } from 'node:crypto'
import { hasCode } from '#shared/errors.ts'
import type { SessionKey, TenantId } from '#shared/ids.ts'
import { removeObjects } from '#shared/registry.ts'
import type { Session } from '#shared/session.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Clock } from '#shared/clock.ts'
import type { LiveSession } from '../session/live-session.ts'
import { isPaired } from '../state/paired.ts'

/** What is kept of a deleted session (docs/design/state.md §3.4), and how long one can see what became of it. */
export const KEEP_REMOVED_MS = 30 * 24 * 3_600_000
const LABEL = 'deleted'
/** Nobody can tell a name from it, and it is the same whenever a crash makes somebody begin again. */
const ID_DIGITS = 24

export const backupIdOf = (key: SessionKey): string =>
  createHash('sha256').update(`backup|${key}`).digest('hex').slice(0, ID_DIGITS)

export interface BackupNeeds {
  stores: Stores
  clock: Clock
}

/**
 * Keeps one labelled backup of a session that is removed, in an object of its own: what else there is of the session can
 * go. Durable when it resolves. Answers its id, or `undefined` where there is nothing to keep. A repeat keeps no second one.
 * @throws CodedError `store_unavailable`
 */
export async function keepBackup(
  context: BackupNeeds,
  live: Pick<LiveSession, 'key' | 'state'>,
  session: Session,
): Promise<string | undefined> {
  const { stores, clock } = context
  const { key } = live
  const { tenant, status, dataKeys } = session
  const id = backupIdOf(key)
  if (await stores.backups.get(tenant, id)) return id
  const chosen = await snapshotToKeep(context, live)
  if (!chosen) return undefined
  const object = `${folderOf(tenant, id)}${chosen.id}`
  // Of a try that came to nothing.
  for (const name of await stores.blobs.list(folderOf(tenant, id)))
    if (name !== object) await stores.blobs.remove(name)
  const parts = await read(stores, chosen)
  if (!parts) return undefined
  await stores.blobs.create(object, parts)
  const nowMs = clock.nowMs()
  await stores.backups.create({
    id,
    tenant,
    origin: key,
    dataKeys,
    snapshot: { ...chosen, object },
    label: chosen.label ?? LABEL,
    ...(status?.jid !== undefined && { jid: status.jid }),
    createdAt: nowMs,
    expiresAt: nowMs + KEEP_REMOVED_MS,
  })
  return id
}

/** Leaves nothing of a backup. A repeat is harmless. @throws CodedError `store_unavailable` */
export async function dropBackup(stores: Stores, tenant: TenantId, id: string): Promise<void> {
  await removeObjects(stores, folderOf(tenant, id))
  await stores.backups.remove(tenant, id)
}

const folderOf = (tenant: TenantId, id: string): string => `backups/${tenant}/${id}/`

/**
 * One of now, where there are credentials. Else the newest that was put aside (the device was logged out, or banned), or
 * where the state can't be read, the newest that nobody found damaged.
 */
async function snapshotToKeep(
  { stores }: BackupNeeds,
  { key, state }: Pick<LiveSession, 'key' | 'state'>,
): Promise<SnapshotRecord | undefined> {
  if (state && isPaired(state.storedCreds())) return state.snapshot(LABEL, { label: LABEL })
  const usable = (await stores.snapshots.list(key)).filter(({ quarantined }) => quarantined === undefined)
  return state ? usable.find(({ label }) => label !== undefined) : usable[0]
}

/** `undefined` when its object is gone: there is nothing to keep then. */
async function read({ blobs }: Stores, { object }: SnapshotRecord): Promise<Uint8Array[] | undefined> {
  const parts: Uint8Array[] = []
  try {
    for await (const part of blobs.read(object)) parts.push(part)
    return parts
  } catch (error) {
    if (hasCode(error, 'blob_missing')) return undefined
    throw error
  }
}
