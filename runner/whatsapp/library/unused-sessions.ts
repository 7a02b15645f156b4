/** The part of libsignal's session record that tells whether the other side can know a session. */
interface SessionRecord {
  _sessions: Record<string, Session>
}

interface Session {
  indexInfo: { closed: number; baseKeyType: number }
  pendingPreKey?: unknown
  _chains: Record<string, { chainKey: { counter: number } }>
}

/** libsignal's numbers. */
const OURS = 1
const OPEN = -1
const NOTHING_YET = -1

/**
 * A session record without the sessions that we began, wrote nothing on, and replaced by another since: the other side
 * never heard of them. rc14 fetches a bundle for every member of a group once an hour and after every start; libsignal
 * keeps forty sessions and forgets the one that was closed first, which is the one that the other side still writes on.
 * Answers the record itself when there is nothing to leave out.
 */
export function withoutUnused<T>(stored: T): T {
  const { _sessions: sessions = {} } = (stored ?? {}) as Partial<SessionRecord>
  const all = Object.entries(sessions)
  const known = all.filter(([, session]) => !isUnused(session))
  return known.length === all.length ? stored : { ...stored, _sessions: Object.fromEntries(known) }
}

function isUnused({ indexInfo, pendingPreKey, _chains: chains }: Session): boolean {
  return (
    indexInfo.closed !== OPEN &&
    indexInfo.baseKeyType === OURS &&
    pendingPreKey !== undefined &&
    Object.values(chains).every(({ chainKey }) => chainKey.counter === NOTHING_YET)
  )
}
