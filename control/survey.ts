import { sessionKey, type SessionKey } from '#shared/ids.ts'
import type { Owner, Session } from '#shared/session.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import type { Stores } from '#shared/store/stores.ts'

/** What the stores hold of one session. Read as it is, nothing opened: no key is needed, and nothing is changed. */
export interface Survey {
  key: SessionKey
  session: Session
  /** False for a session of a tenant that does not exist. */
  hasTenant: boolean
  owner: Owner | undefined
  /** Newest first. */
  snapshots: readonly SnapshotRecord[]
  /** The newest entry of its journal. */
  head: Omit<JournalEntry, 'sealed'> | undefined
}

/** Every session, or those of one tenant, one after the other. @throws CodedError `store_unavailable` */
export async function* surveySessions(
  stores: Pick<Stores, 'tenants' | 'sessions' | 'owners' | 'snapshots' | 'journal'>,
  tenant?: string,
): AsyncGenerator<Survey> {
  const tenants = new Set((await stores.tenants.list()).map(({ id }) => id))
  for await (const session of stores.sessions.scan()) {
    if (tenant !== undefined && session.tenant !== tenant) continue
    const key = sessionKey(session.tenant, session.id)
    const [owner, snapshots, head] = await Promise.all([
      stores.owners.get(key),
      stores.snapshots.list(key),
      stores.journal.head(key),
    ])
    yield { key, session, hasTenant: tenants.has(session.tenant), owner, snapshots, head }
  }
}

/** Phases that last until a person does something. */
const FOR_A_PERSON: ReadonlySet<string> = new Set(['conflict', 'logged_out', 'banned', 'outdated', 'failed'])

/** Linked to a phone, as far as its status says. */
export const hasCredentials = ({ status }: Session): boolean =>
  status?.authenticatedAt !== undefined && status.phase !== 'logged_out' && status.phase !== 'banned'

/** The backups that a restore could take. */
export const usable = ({ session, snapshots }: Survey): readonly SnapshotRecord[] => {
  const keys = new Set(session.dataKeys.map(({ id }) => id))
  return snapshots.filter(({ quarantined, dataKeyId }) => quarantined === undefined && keys.has(dataKeyId))
}

/** What a person should look at, a sentence each. Pure. */
export function problemsOf(survey: Survey): readonly string[] {
  const { session, hasTenant, snapshots, head } = survey
  const { status, dataKeys } = session
  const keys = new Set(dataKeys.map(({ id }) => id))
  const good = usable(survey)
  const problems: string[] = []
  if (!hasTenant) problems.push('its tenant does not exist; POST /v1/maintenance/sweep removes it')
  for (const { id, quarantined, dataKeyId } of snapshots) {
    if (quarantined !== undefined) problems.push(`backup ${id} is damaged: ${quarantined}`)
    else if (!keys.has(dataKeyId)) problems.push(`backup ${id} can't be opened: its data key is gone`)
  }
  if (hasCredentials(session)) {
    if (dataKeys.length === 0) problems.push('its data key is gone: what is stored can’t be opened any more')
    else if (good.length === 0 && !head) problems.push('nothing is stored of its credentials; pair it again')
    else if (good.length === 0 && snapshots.length > 0)
      problems.push('none of its backups can be used; POST …/snapshots makes a new one')
  }
  if (status && FOR_A_PERSON.has(status.phase))
    problems.push(`${status.phase}${status.reason === undefined ? '' : `: ${status.reason}`}`)
  return problems
}
