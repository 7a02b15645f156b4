import { keyOf, type TenantId } from '#shared/ids.ts'
import type { Owner, Phase, Session } from '#shared/session.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { credentialsOf, type CredentialState } from '../session/credentials.ts'
import type { Fleet } from './fleet.ts'
import { phaseNow } from '../present/present.ts'
import { lateOf, needsPerson } from './attention.ts'
import { ownedSessions } from './scan.ts'

/** What the stores hold of one session. Read as it is, nothing opened: no key is needed, and nothing is changed. */
export interface Survey {
  session: Session
  phase: Phase
  reason?: string
  credentials: CredentialState
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
  stores: Stores,
  fleet: Fleet,
  tenant?: TenantId,
): AsyncGenerator<Survey> {
  const tenants = await stores.tenants.list()
  const known = new Set(tenants.map(({ id }) => id))
  for await (const [session, owner] of ownedSessions(stores, tenant && { tenant })) {
    const key = keyOf(session)
    const [snapshots, head, view] = await Promise.all([
      stores.snapshots.list(key),
      stores.journal.head(key),
      fleet.view(),
    ])
    const credentials = credentialsOf(session)
    const hasTenant = known.has(session.tenant)
    yield { session, ...phaseNow(session, owner, view), credentials, hasTenant, owner, snapshots, head }
  }
}

/** Credentials that a session connects with, or would. */
export const isPaired = ({ credentials }: Survey): boolean =>
  credentials === 'good' || credentials === 'doubtful'

/** Why a restore could not take this backup. */
const troubleOf = ({ quarantined, dataKeyId }: SnapshotRecord, { dataKeys }: Session): string | undefined => {
  if (quarantined !== undefined) return `is damaged: ${quarantined}`
  return dataKeys.some(({ id }) => id === dataKeyId) ? undefined : 'can’t be opened: its data key is gone'
}

/** The backups that a restore could take. */
export const usable = ({ session, snapshots }: Survey): readonly SnapshotRecord[] =>
  snapshots.filter((snapshot) => troubleOf(snapshot, session) === undefined)

/** What a person should look at, a sentence each. Pure. */
export function problemsOf(survey: Survey): readonly string[] {
  const { session, phase, reason, hasTenant, snapshots, head } = survey
  const problems = snapshots.flatMap((snapshot) => {
    const trouble = troubleOf(snapshot, session)
    return trouble === undefined ? [] : [`backup ${snapshot.id} ${trouble}`]
  })
  if (!hasTenant) problems.push('its tenant does not exist; POST /v1/maintenance/sweep removes it')
  if (isPaired(survey)) {
    const noneUsable = usable(survey).length === 0
    if (session.dataKeys.length === 0)
      problems.push('its data key is gone: what is stored can’t be opened any more')
    else if (noneUsable && !head) problems.push('nothing is stored of its credentials; pair it again')
    else if (noneUsable && snapshots.length > 0)
      problems.push('none of its backups can be used; POST …/snapshots makes a new one')
  }
  // Whatever its age: what a runner tells of is late, or nobody holds the session that owes it.
  problems.push(...lateOf(session.status, Infinity))
  if (couldNotLink(session, phase)) problems.push(`${phase}: ${reason ?? 'nobody could be linked'}`)
  if (needsPerson(phase)) problems.push(`${phase}${reason === undefined ? '' : `: ${reason}`}`)
  return problems
}

/** The last window that a person opened shows nothing, or showed nothing, for a reason that is not his. */
function couldNotLink({ want, status }: Session, phase: Phase): boolean {
  if (!want.pairing || !status?.lastDisconnect || status.pairing !== undefined) return false
  const { at, why } = status.lastDisconnect
  return (phase === 'pairing' || phase === 'unpaired') && at >= want.pairing.openedAtMs && !ORDINARY.has(why)
}

/** Ends of a connection that belong to pairing: nobody scanned, or somebody did. */
const ORDINARY: ReadonlySet<string> = new Set(['qr_ended', 'restart_required'])
