import type { SessionKey } from '#shared/ids.ts'
import { preferredRunner } from './spread.ts'

/** A session that lives here, as far as moving it is concerned. Times are milliseconds since 1970. */
export interface Movable {
  key: SessionKey
  connected: boolean
  authenticatedAt: number | undefined
  lastActivityAt: number | undefined
}

interface Target {
  id: string
  capacity: number
  held: number
}

/**
 * In its first minutes a session receives keys and history that are acknowledged before they are stored, so a move could
 * lose them for good (docs/facts/baileys.md §4.5: the first ten or so).
 */
const FIRST_MINUTES_MS = 10 * 60_000
/** A session that was moved stays where it is for a while, whatever the runners around it do. */
const COOL_DOWN_MS = 10 * 60_000

/**
 * The one session that should go next to the runner that rendezvous hashing prefers: the quietest of those that are
 * connected, settled and not moved lately. `undefined` where everything is well. Pure.
 */
export function nextToMove(
  sessions: readonly Movable[],
  targets: readonly Target[],
  me: string,
  movedAt: ReadonlyMap<SessionKey, number>,
  nowMs: number,
): SessionKey | undefined {
  const candidates = sessions.filter(({ key, connected, authenticatedAt }) => {
    if (!connected || authenticatedAt === undefined || nowMs - authenticatedAt < FIRST_MINUTES_MS)
      return false
    if (nowMs - (movedAt.get(key) ?? -COOL_DOWN_MS) < COOL_DOWN_MS) return false
    const preferred = preferredRunner(key, targets)
    return preferred !== undefined && preferred.id !== me && preferred.held < preferred.capacity
  })
  return candidates.toSorted((a, b) => (a.lastActivityAt ?? 0) - (b.lastActivityAt ?? 0))[0]?.key
}
