import { describe, expect, test } from 'vitest'
import { parseRunnerId, parseSessionId, parseTenantId, sessionKey } from '#shared/ids.ts'
import { systemClock } from '#shared/clock.ts'
import { eventually } from '#test/e2e/eventually.ts'
import { TENANT } from '#test/e2e/installation.ts'
import { inPhase } from '#test/e2e/people.ts'
import { useWorld } from '#test/e2e/world.ts'
import { expectFenced, expectPeace, isOwnedBy, owners, SHORT_LEASE, startFleet } from './fleet.ts'
import { sightOf } from './sight.ts'
import { describeEachSet, useStoreSet } from './store-sets.ts'
import { startTraffic } from './traffic.ts'

describeEachSet((name) => {
  const world = useWorld()
  const set = useStoreSet(name)
  // The emulator answers for everybody with what is left of the machine: short leases would run out by themselves.
  const [sessions, env] = name === 'embedded' ? [12, SHORT_LEASE] : [6, {}]
  const each = (logins: number): number[] => Array.from({ length: sessions }, () => logins)

  test('E7: a runner that wakes after its sessions were taken over drops them, writes nothing, and does not come back for them', async () => {
    const fleet = await startFleet(world, set, { sessions, env })
    const see = sightOf(world, fleet)
    const sleeper = await fleet.startRunner()
    await fleet.connected(isOwnedBy(sleeper))
    const traffic = await startTraffic(world, fleet)
    const heir = await fleet.startRunner()
    await world.whatsapp.resetReport()

    sleeper.child.signal('SIGSTOP')
    const taken = await fleet.connected(isOwnedBy(heir))
    expect(await see.logins()).toEqual(each(1))
    sleeper.child.signal('SIGCONT')
    await sleeper.says('lease lost; every socket is dropped')
    await see.renewal(sleeper)
    await see.shown(sleeper, ({ held }) => held === 0)
    await traffic.stop()

    expect(owners(await fleet.connected())).toEqual(owners(taken))
    // One login each, by the heir; it ended the connection of the sleeper, which made nothing of that.
    expect(await see.logins()).toEqual(each(1))
    const { totals, retries } = await world.whatsapp.report()
    expect(totals.replaced).toBeLessThanOrEqual(sessions)
    expect(retries).toEqual([])
    expect(await see.kinds()).not.toContain('phase conflict')
    await expectFenced(fleet)
  })

  // What these are about is not the store's business.
  describe.runIf(name === 'embedded')('among processes', () => {
    test('E7: a runner that stood still for less than its lease goes on, and nobody took anything from it', async () => {
      const fleet = await startFleet(world, set, { sessions })
      const see = sightOf(world, fleet)
      const sleeper = await fleet.startRunner()
      const before = owners(await fleet.connected(isOwnedBy(sleeper)))
      await fleet.startRunner()
      const traffic = await startTraffic(world, fleet)
      await world.whatsapp.resetReport()

      sleeper.child.signal('SIGSTOP')
      const { count } = traffic
      await eventually('more to be written meanwhile', () => traffic.count > count + sessions)
      sleeper.child.signal('SIGCONT')
      await see.renewal(sleeper)
      await traffic.stop()

      expect(owners(await fleet.connected())).toEqual(before)
      expect(await see.logins()).toEqual(each(0))
      await expectPeace(world, fleet)
    })

    test('E7: two runners of the same name are two runners, and no session is with both', async () => {
      const fleet = await startFleet(world, set, { sessions, env: { MOORING_RUNNER_ID: 'twin' } })
      const [one, two] = await Promise.all([fleet.startRunner(), fleet.startRunner()])
      await fleet.connected(isOwnedBy(one, two))
      expect(one.id).not.toBe(two.id)
      await eventually('both to tell what they hold', fleet.runners, (list) => {
        return list.reduce((sum, { held }) => sum + held, 0) === sessions
      })
      await one.kill()
      await fleet.connected(isOwnedBy(two))
      await expectPeace(world, fleet)
      await expectFenced(fleet)
    })

    test('E1 E7: a session whose owner was changed under a live runner is let go of in silence, not called a conflict', async () => {
      const fleet = await startFleet(world, set, { sessions: 2 })
      const see = sightOf(world, fleet)
      const one = await fleet.startRunner()
      await fleet.connected(isOwnedBy(one))
      const other = await fleet.startRunner()
      await fleet.withStores(async (stores) => {
        const key = sessionKey(parseTenantId(TENANT), parseSessionId('s0'))
        const expectEpoch = (await stores.owners.get(key))?.epoch ?? 0
        const by = { runnerId: parseRunnerId(other.id), nonce: 'by hand', nowMs: systemClock.nowMs() }
        await stores.owners.claim({ key, expectEpoch, ...by })
      })
      await fleet.connected(({ id, status }) => status.owner?.runnerId === (id === 's0' ? other.id : one.id))
      expect(await see.kinds()).not.toContain('phase conflict')
      expect(Math.max(...(await see.logins()))).toBeLessThanOrEqual(2)
      await expectFenced(fleet)
    })

    test('E1: a stranger with the same credentials is a conflict that says since when and what to do; resume takes it back once', async () => {
      const fleet = await startFleet(world, set, { sessions: 1 })
      const see = sightOf(world, fleet)
      const runner = await fleet.startRunner()
      await fleet.connected(isOwnedBy(runner))
      const { api, seeded } = fleet
      const stranger = await startFleet(world, set, { sessions: 1, seeded })
      await stranger.startRunner()
      const conflict = await inPhase(api, 's0', 'conflict')
      const { at = '' } = conflict.status.lastDisconnect ?? {}
      expect(conflict.status.lastDisconnect).toMatchObject({ code: 440, why: 'replaced' })
      expect(conflict.status.reason).toContain(`since ${at}`)
      expect(conflict.status.reason).toContain('resume')
      await stranger.connected()
      expect(await see.logins()).toEqual([2])

      await api.act('s0', 'resume')
      await inPhase(stranger.api, 's0', 'conflict')
      await fleet.connected()
      await stranger.api.act('s0', 'resume')
      await inPhase(api, 's0', 'conflict')
      await stranger.connected()
      // Each took it once for each word of a person, and never by itself.
      expect(await see.logins()).toEqual([4])
      await see.shown(runner, ({ held }) => held === 0)
    })
  })
})
