import { expect, test } from 'vitest'
import { lease as leaseOf, runner } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { Housekeeping, type HousekeepingNeeds } from './housekeeping.ts'
import { LoopLag } from '../pacing/loop-lag.ts'
import { RunnersSeen } from '../ownership/runners-seen.ts'
import { memory, silent } from '../runner.fixture.ts'
import { NO_DISK } from '../session/live-session.fixture.ts'
import { View } from './view.ts'

const ME = runner('me')
const RESYNC_EVERY_MS = 60_000
const times = { renewWithinMs: 6_500, leaseForMs: 10_000 }

/** The housekeeping of one runner beside another one that was killed; `mayAct` as the runner's own settings say. */
async function begin(mayAct: boolean) {
  const clock = fakeClock()
  const { stores } = memory(clock)
  await stores.runners.renew(leaseOf(ME, 1, { leaseForMs: 3_600_000 }))
  await stores.runners.renew(leaseOf(runner('killed'), 1))
  const runners = new RunnersSeen({ store: stores.runners, clock, me: ME, times })
  await runners.refresh()
  const context = {
    stores,
    clock,
    runners,
    view: new View(stores, clock),
    live: new Map(),
    lease: { id: ME, isGood: true, takeMarginMs: () => undefined },
    boot: { tick: () => undefined },
    lag: new LoopLag(),
    preparations: { look: () => undefined },
    queue: { add: () => undefined },
    workingCopies: NO_DISK,
    reporter: { quiet: async () => undefined, waiting: () => [], waitingKeys: [], event: () => undefined },
    snapshots: { offer: () => true },
    version: { look: async () => undefined },
    breaker: { isStopped: false },
    keyCare: { look: () => undefined, rewrap: async () => undefined },
    passes: { sweep: () => 0 },
    handOver: { give: async () => undefined },
    log: silent,
  } satisfies HousekeepingNeeds
  const settings = { resyncEveryMs: RESYNC_EVERY_MS, rebalancePerMinute: 0, mayAct: () => mayAct }
  const housekeeping = new Housekeeping(context, { ...settings, lookEveryMs: 1_000 })
  housekeeping.start()
  return {
    /** Minute by minute, as a full pass comes every minute. */
    async minutes(count: number): Promise<readonly string[]> {
      for (let minute = 0; minute < count; minute++) await clock.advance(RESYNC_EVERY_MS)
      return (await stores.runners.look()).records.map(({ id }) => id)
    },
    [Symbol.dispose]: () => housekeeping.stop(),
  }
}

test('the record of a runner that was killed is kept for a while, and then removed', async () => {
  using world = await begin(true)
  expect(await world.minutes(3)).toEqual(['killed', ME])
  expect(await world.minutes(4)).toEqual([ME])
})

test('E6 a runner that only watches removes no record', async () => {
  using world = await begin(false)
  expect(await world.minutes(10)).toEqual(['killed', ME])
})
