import { describe, expect, test } from 'vitest'
import { loneRunner } from './lone-runner.ts'

/** As many as there are places for passes: what takes them all holds up everything. */
const MANY = 64
const KILLED_AFTER_MS = 10_000

const always = (): boolean => true

describe('F21 a store that hangs', () => {
  test('for the snapshots of many sessions keeps no other from connecting, and nobody from being handed over at once', async () => {
    using world = await loneRunner(MANY)
    await world.start()
    expect(await world.connected()).toHaveLength(MANY)
    // The first snapshots, for a later one to be due by its age.
    await world.snapshotAll()
    let asked = 0
    world.troubles.set('blobs.create', () => ++asked > 0)
    await world.nextDay()
    await world.passMs(200_000)
    expect(asked).toBeGreaterThan(1)
    const late = await world.add()
    await world.passMs(500)
    expect(await world.connected()).toContain(late)
    const { left, tookMs } = await world.stop()
    expect([left, await world.owned()]).toEqual([0, []])
    expect(tookMs).toBeLessThan(1_000)
  })

  test('for the jobs of many sessions keeps no other from connecting, and the jobs are there for the next owner', async () => {
    using world = await loneRunner(MANY)
    await world.start()
    world.troubles.set('blobs.create', always)
    await world.snapshotAll()
    const late = await world.add()
    await world.passMs(1_500)
    expect(await world.connected()).toContain(late)
    const { left, tookMs } = await world.stop()
    expect([left, await world.owned()]).toEqual([0, []])
    expect(tookMs).toBeLessThan(3_000)
    expect(await world.control.jobs.openKeys()).toHaveLength(MANY)
  })

  test.for(['owners.claim', 'journal.read', 'sessions.get', 'jobs.open'])(
    'in %s for one session keeps no other from connecting, and the runner ends in its time',
    async (call) => {
      using world = await loneRunner(3)
      const [stuck, ...others] = world.keys
      world.troubles.set(call, (first) => first === stuck || (first as { key?: unknown }).key === stuck)
      await world.start()
      await world.passMs(10_000)
      expect(await world.connected()).toEqual(expect.arrayContaining(others))
      const { tookMs } = await world.stop()
      expect(tookMs).toBeLessThan(KILLED_AFTER_MS)
      expect(await world.owned()).toEqual(expect.not.arrayContaining(others))
    },
  )

  test.for(['events.append', 'sessions.reportStatus', 'owners.release', 'journal.append'])(
    'in %s for one session hands the others over, and the runner ends in its time',
    async (call) => {
      using world = await loneRunner(3)
      await world.start()
      const [stuck, ...others] = world.keys
      world.troubles.set(call, (first) => first === stuck || (first as { key?: unknown }).key === stuck)
      const late = await world.add()
      await world.passMs(1_000)
      expect(await world.connected()).toEqual(expect.arrayContaining([...others, late]))
      const { tookMs } = await world.stop()
      expect(tookMs).toBeLessThan(KILLED_AFTER_MS)
      expect(await world.owned()).toEqual(expect.not.arrayContaining([...others, late]))
    },
  )
})
