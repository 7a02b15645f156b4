import { beforeAll, expect, test } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { percentile } from '#test/bench/report.ts'
import { useWorld } from '#test/e2e/world.ts'
import { expectFenced, expectPeace, isOwnedBy, startFleet, stopInOrder } from './fleet.ts'
import type { Fleet, RunnerProcess } from './fleet.ts'
import { fleetSize } from './size.ts'
import { describeEachSet, useStoreSet } from './store-sets.ts'
import { startTraffic } from './traffic.ts'

/** Of full size, on the emulator. */
const START_WITHIN_MS = 300_000

describeEachSet((name) => {
  const world = useWorld()
  const set = useStoreSet(name)
  const size = fleetSize(name)
  let fleet: Fleet
  let runners: RunnerProcess[] = []

  beforeAll(async () => {
    fleet = await startFleet(world, set, { sessions: size.sessions })
    runners = await Promise.all(Array.from({ length: size.runners }, () => fleet.startRunner()))
    await fleet.connected()
  }, START_WITHIN_MS)

  /** What the stand-in measured since it was last asked: from the close of a connection to the next login. */
  async function tellGaps(what: string): Promise<void> {
    const { devices } = await world.whatsapp.report()
    const gaps = fleet.linked.flatMap(({ jid }) => devices[jid]?.gapsMs ?? [])
    const [p50, p99, max] = [percentile(gaps, 0.5), percentile(gaps, 0.99), Math.max(...gaps)]
    console.log(
      `${name}: ${what}: ${gaps.length} gaps, p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, at most ${max.toFixed(0)} ms`,
    )
  }

  test(`B5 E7: ${size.restarts} rolling restarts in a row under traffic: no conflict, never two connections, nothing lost`, async () => {
    const traffic = await startTraffic(world, fleet)
    await world.whatsapp.resetReport()
    for (let round = 0; round < size.restarts; round++) {
      const next = await fleet.startRunner()
      const [oldest] = runners.splice(0, 1)
      if (oldest) await stopInOrder(oldest)
      runners.push(next)
    }
    await fleet.connected(isOwnedBy(...runners))
    const texts = await traffic.stop()
    await tellGaps(`${size.restarts} rolling restarts, ${texts} texts`)
    await expectPeace(world, fleet)
    await expectFenced(fleet)
  })

  test('B5 E7: a runner that is killed is taken over by the others, with nothing lost and nobody asked to write again', async () => {
    for (let round = 0; round < size.kills; round++) {
      await fleet.connected(isOwnedBy(...runners))
      const traffic = await startTraffic(world, fleet)
      await world.whatsapp.resetReport()
      const next = await fleet.startRunner()
      const [victim] = runners.splice(0, 1)
      const held = (await fleet.sessions()).filter((session) => victim && isOwnedBy(victim)(session)).length
      const killedAtMs = systemClock.nowMs()
      await victim?.kill()
      runners.push(next)
      await fleet.connected(isOwnedBy(...runners))
      const texts = await traffic.stop()
      const claimed = runners
        .flatMap((runner) => runner.log('session taken over'))
        .map(({ time }) => Date.parse(String(time)) - killedAtMs)
        .filter((ms) => ms >= 0)
      await tellGaps(
        `SIGKILL of a runner with ${held}, ${texts} texts, claimed after at most ${Math.max(...claimed)} ms`,
      )
      expect(claimed).toHaveLength(held)
      expect(held).toBeGreaterThan(0)
      await expectPeace(world, fleet)
    }
    await expectFenced(fleet)
  })
})
