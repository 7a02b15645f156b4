import type { SessionKey } from '#shared/ids.ts'
import { WAITABLE, WAITS_TOO_LONG_MS, type Waitable } from '#shared/session.ts'
import type { Clock } from '#shared/clock.ts'
import type { LiveSession } from '../session/live-session.ts'
import type { Sessions } from './needs.ts'
import type { Reporter } from './reporter.ts'

export interface LateNeeds extends Sessions<Pick<LiveSession, 'waiting'>> {
  reporter: Pick<Reporter, 'waiting' | 'waitingKeys'>
  clock: Pick<Clock, 'monotonicMs'>
}

/** Of how many sessions something waits for too long, and for how long that of the first one has. */
export interface Late {
  what: Waitable | 'status'
  sessions: number
  oldestMs: number
}

export const LATE_KINDS = [...WAITABLE, 'status'] as const

/**
 * What waits for longer than `WAITS_TOO_LONG_MS`, over all sessions of this runner, a line each kind. Known without any
 * store: also where the statuses can't say it, because they are what waits.
 */
export function lateOf({ live, reporter, clock }: LateNeeds): readonly Late[] {
  const nowMs = clock.monotonicMs()
  const found = new Map<Late['what'], Late>()
  for (const key of new Set<SessionKey>([...live.keys(), ...reporter.waitingKeys])) {
    for (const { what, sinceMs } of [...(live.get(key)?.waiting() ?? []), ...reporter.waiting(key)]) {
      const waitsMs = nowMs - sinceMs
      if (waitsMs < WAITS_TOO_LONG_MS) continue
      const { sessions, oldestMs } = found.get(what) ?? { sessions: 0, oldestMs: 0 }
      found.set(what, { what, sessions: sessions + 1, oldestMs: Math.max(oldestMs, Math.round(waitsMs)) })
    }
  }
  return [...found.values()]
}
