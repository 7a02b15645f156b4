import { beforeAll, expect, test } from 'vitest'
import type { LogLine } from '#test/e2e/mooring-process.ts'
import { useWorld } from '#test/e2e/world.ts'
import { startChurn } from './churn.ts'
import { expectPeace, isOwnedBy, startFleet, stopInOrder, type Fleet, type RunnerProcess } from './fleet.ts'
import { fleetSize } from './size.ts'
import { describeEachSet, useStoreSet } from './store-sets.ts'
import { startTraffic } from './traffic.ts'

/** Of full size, on the emulator. */
const START_WITHIN_MS = 300_000
/**
 * A life takes a claim, and one more for its removal; each end of a runner may cost it another of both. Those that spin take
 * hundreds in a second.
 */
const CLAIMS_MAX = 12
const STEPS_MAX = 120

describeEachSet((name) => {
  const world = useWorld()
  const set = useStoreSet(name)
  const size = fleetSize(name)
  let fleet: Fleet
  const runners: RunnerProcess[] = []
  const ended: RunnerProcess[] = []

  beforeAll(async () => {
    fleet = await startFleet(world, set, { sessions: size.settled })
    runners.push(...(await Promise.all(Array.from({ length: 2 }, () => fleet.startRunner()))))
    await fleet.connected()
  }, START_WITHIN_MS)

  // Without any it is a matter of `npm run fleet` alone.
  test.skipIf(size.churning === 0)(
    `F1: ${size.churning} names that come, go and come again while runners are restarted and killed: each life is linked, heard and taken off the phone, and the others notice nothing`,
    async () => {
      await world.whatsapp.resetReport()
      const traffic = await startTraffic(world, fleet)
      const names = Array.from({ length: size.churning }, (_, at) => `churn-${at}`)
      const churn = startChurn(world, fleet, names)
      for (let round = 0; round < size.churnEnds; round++) {
        const next = await fleet.startRunner()
        const [oldest] = runners.splice(0, 1)
        if (oldest && round % 2 === 0) await stopInOrder(oldest)
        else await oldest?.kill()
        if (oldest) ended.push(oldest)
        runners.push(next)
        await fleet.connected(isOwnedBy(...runners))
      }
      const lives = await churn.stop()
      const texts = await traffic.stop()
      console.log(
        `${name}: ${lives.length} lives of ${names.length} names, ${texts} texts of the others beside them`,
      )
      expect(lives.length).toBeGreaterThanOrEqual(names.length)
      await expectPeace(world, fleet)
      const lines = [...ended, ...runners].flatMap((runner) => runner.log())
      for (const { life } of lives) {
        const of = lines.filter(({ sessionId }) => life !== null && sessionId?.endsWith(`~${life}`))
        const said = (message: string): LogLine[] => of.filter(({ message: words }) => words === message)
        const claims = said('session claimed').length + said('session taken over').length
        expect(claims, `claims of the life ${life}`).toBeLessThanOrEqual(CLAIMS_MAX)
        expect(said('step taken').length, `steps of the life ${life}`).toBeLessThanOrEqual(STEPS_MAX)
      }
    },
  )
})
