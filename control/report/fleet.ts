import type { Clock } from '#shared/clock.ts'
import type { RunnerId } from '#shared/ids.ts'
import type { Owner, RunnerRecord } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'

/** How old a view may be: short enough for a person, long enough that a list of sessions reads the leases once. */
const VIEW_FOR_MS = 500

/** The runners as control sees them: a reader of leases, never a judge of them. */
export interface FleetView {
  runners: readonly (RunnerRecord & { alive: boolean })[]
  alive: ReadonlySet<RunnerId>
}

export interface Fleet {
  view(): Promise<FleetView>
}

/** True while the runner that the record names is alive; a dead one holds no socket, whatever its last status says. */
export const isHeld = (owner: Owner | undefined, fleet: FleetView): boolean =>
  owner?.runnerId !== undefined && fleet.alive.has(owner.runnerId)

export function createFleet(stores: Pick<Stores, 'runners'>, clock: Clock): Fleet {
  let last: { view: Promise<FleetView>; atMs: number } | undefined
  return {
    view() {
      const nowMs = clock.monotonicMs()
      if (last && nowMs - last.atMs < VIEW_FOR_MS) return last.view
      const view = look(stores)
      const entry = { view, atMs: nowMs }
      last = entry
      // A failed look is not remembered: the next request looks again.
      view.catch(() => {
        if (last === entry) last = undefined
      })
      return view
    },
  }
}

async function look(stores: Pick<Stores, 'runners'>): Promise<FleetView> {
  const { records, nowMs } = await stores.runners.look()
  const runners = await Promise.all(
    records.map(async (record) => ({
      ...record,
      alive: nowMs - record.renewedAt < record.leaseForMs && !(await stores.runners.provenDead(record.id)),
    })),
  )
  return { runners, alive: new Set(runners.filter((runner) => runner.alive).map((runner) => runner.id)) }
}
