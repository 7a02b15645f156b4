import type { StoreSet } from './store-sets.ts'

/** How large a fleet is, and how often it is restarted and killed. */
export interface FleetSize {
  sessions: number
  runners: number
  restarts: number
  kills: number
  /** Names that come, go and come again, beside so many sessions that stay, while so many runners end. */
  churning: number
  settled: number
  churnEnds: number
}

/** What is promised, and measured by `npm run fleet`. */
export const FULL_SIZE: FleetSize = {
  sessions: 60,
  runners: 3,
  restarts: 10,
  kills: 10,
  churning: 8,
  settled: 20,
  churnEnds: 10,
}

/**
 * What every run of the tests can afford. The emulator answers for all of them with one core or two, which three runners and
 * the stand-in want too; and nothing proves a killed process dead there, so that each kill costs a lease. Names that come and
 * go there are left to `npm run fleet`.
 */
const TEST_SIZE: Record<StoreSet['name'], FleetSize> = {
  embedded: { sessions: 40, runners: 3, restarts: 4, kills: 1, churning: 4, settled: 6, churnEnds: 2 },
  google: { sessions: 16, runners: 3, restarts: 1, kills: 1, churning: 0, settled: 4, churnEnds: 0 },
}
/** Where `npm run fleet` says what it was asked for. */
export const SIZE_VARIABLE = 'FLEET_SIZE'

export function fleetSize(
  name: StoreSet['name'],
  env: Readonly<Record<string, string | undefined>> = process.env,
): FleetSize {
  const asked = env[SIZE_VARIABLE]
  return asked === undefined ? TEST_SIZE[name] : (JSON.parse(asked) as FleetSize)
}
