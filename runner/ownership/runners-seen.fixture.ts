import type { RunnerId } from '#shared/ids.ts'
import type { RunnerRecord } from '#shared/session.ts'
import type { RunnerStore } from '#shared/store/runner-store.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { lease, runner } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { MemoryDatabase } from '#test/simulation/memory/database.ts'
import { memoryStores } from '#test/simulation/memory/stores.ts'
import { RunnersSeen } from './runners-seen.ts'

/** For the tests of who lives: one runner that looks at others, with the clocks and the store in the hand of the test. */

export const ME = runner('me')
export const OTHER = runner('other')
export const LEASE_MS = 10_000
const TIMES = { renewWithinMs: 6_500, leaseForMs: LEASE_MS }
/** Half-way between the two. */
export const SURELY_OVER_MS = 8_250
export const DAY_MS = 24 * 3_600_000

export function begin() {
  const clock = fakeClock()
  /** The store's clock; a test may stop or turn it. */
  const store = { offsetMs: 0, stoppedAtMs: undefined as number | undefined }
  const db = new MemoryDatabase(() => store.stoppedAtMs ?? clock.monotonicMs() + store.offsetMs)
  const script: Script<RunnerStore> = {}
  const { runners } = memoryStores(db)
  const seen = new RunnersSeen({ store: faulty(runners, script), clock, me: ME, times: TIMES })
  const beats = new Map<RunnerId, number>()
  const renew = (id: RunnerId = OTHER, more: Partial<RunnerRecord> = {}) => {
    const beat = (beats.get(id) ?? 0) + 1
    beats.set(id, beat)
    return runners.renew(lease(id, beat, { leaseForMs: LEASE_MS, ...more }))
  }
  const after = async (ms: number): Promise<boolean> => {
    await clock.advance(ms)
    await seen.refresh()
    return seen.isAlive(OTHER)
  }
  return { clock, db, store, script, runners, seen, renew, after }
}
