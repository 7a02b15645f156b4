import { describe, expect, test } from 'vitest'
import { startCutProxy } from '#test/cloud/cut-proxy.ts'
import { eventually } from '#test/e2e/eventually.ts'
import { inPhase } from '#test/e2e/people.ts'
import { useWorld } from '#test/e2e/world.ts'
import { expectFenced, expectPeace, isOwnedBy, owners, SHORT_LEASE, startFleet } from './fleet.ts'
import type { Fleet, RunnerProcess } from './fleet.ts'
import { describeEachSet, useStoreSet } from './store-sets.ts'
import { startTraffic } from './traffic.ts'

describeEachSet((name) => {
  const world = useWorld()
  const set = useStoreSet(name)
  const SESSIONS = name === 'embedded' ? 12 : 6
  // The emulator answers for everybody with what is left of the machine: short leases would run out by themselves.
  const lease = name === 'embedded' ? SHORT_LEASE : {}

  const loginsOf = async (fleet: Fleet): Promise<number[]> => {
    const { devices } = await world.whatsapp.report()
    return fleet.linked.map(({ jid }) => devices[jid]?.logins ?? 0)
  }
  const openOf = async (fleet: Fleet): Promise<number> => {
    const { devices } = await world.whatsapp.report()
    return fleet.linked.filter(({ jid }) => (devices[jid]?.open ?? 0) > 0).length
  }
  const seen = async (fleet: Fleet, { id }: RunnerProcess) =>
    (await fleet.runners()).find((runner) => runner.id === id)
  const kindsOf = async (fleet: Fleet): Promise<Set<string>> => {
    const events = await Promise.all(fleet.linked.map(({ session }) => fleet.api.events(session)))
    return new Set(events.flat().map(({ kind, to }) => (kind === 'phase' ? `phase ${to}` : kind)))
  }
  /** Waits until the runner has renewed again, and so knows that it is well. */
  const renewsAgain = async (fleet: Fleet, runner: RunnerProcess): Promise<void> => {
    const before = await seen(fleet, runner)
    await eventually(
      'the runner to renew its lease',
      () => seen(fleet, runner),
      (now) => now?.alive && now.renewedAt !== before?.renewedAt,
    )
  }

  test('E7: a runner that wakes after its sessions were taken over drops them, writes nothing, and does not come back for them', async () => {
    const fleet = await startFleet(world, set, { sessions: SESSIONS, env: lease })
    const sleeper = await fleet.startRunner()
    await fleet.connected(isOwnedBy(sleeper))
    const traffic = await startTraffic(world, fleet)
    const heir = await fleet.startRunner()
    await world.whatsapp.resetReport()

    sleeper.child.signal('SIGSTOP')
    const taken = await fleet.connected(isOwnedBy(heir))
    expect(await loginsOf(fleet)).toEqual(Array(SESSIONS).fill(1))
    sleeper.child.signal('SIGCONT')
    await sleeper.says('lease lost; every socket is dropped')
    await renewsAgain(fleet, sleeper)
    await eventually(
      'it to hold nothing',
      () => seen(fleet, sleeper),
      (now) => now?.held === 0,
    )
    await traffic.stop()

    expect(owners(await fleet.connected())).toEqual(owners(taken))
    // One login each, by the heir; it ended the connection of the sleeper, which made nothing of that.
    expect(await loginsOf(fleet)).toEqual(Array(SESSIONS).fill(1))
    const { totals, retries } = await world.whatsapp.report()
    expect(totals.replaced).toBeLessThanOrEqual(SESSIONS)
    expect(retries).toEqual([])
    expect(await kindsOf(fleet)).not.toContain('phase conflict')
    await expectFenced(fleet)
  })

  test('E7: a runner that stood still for less than its lease goes on, and nobody took anything from it', async () => {
    const fleet = await startFleet(world, set, { sessions: SESSIONS })
    const sleeper = await fleet.startRunner()
    const before = owners(await fleet.connected(isOwnedBy(sleeper)))
    await fleet.startRunner()
    const traffic = await startTraffic(world, fleet)
    await world.whatsapp.resetReport()

    sleeper.child.signal('SIGSTOP')
    const { count } = traffic
    await eventually('more to be written meanwhile', () => traffic.count > count + SESSIONS)
    sleeper.child.signal('SIGCONT')
    await renewsAgain(fleet, sleeper)
    await traffic.stop()

    expect(owners(await fleet.connected())).toEqual(before)
    expect(await loginsOf(fleet)).toEqual(Array(SESSIONS).fill(0))
    await expectPeace(world, fleet)
  })

  // What these are about is not the store's business.
  describe.runIf(name === 'embedded')('among runners', () => {
    test('E7: two runners of the same name are two runners, and no session is with both', async () => {
      const fleet = await startFleet(world, set, { sessions: SESSIONS, env: { MOORING_RUNNER_ID: 'twin' } })
      const twins = await Promise.all([fleet.startRunner(), fleet.startRunner()])
      await fleet.connected(isOwnedBy(...twins))
      expect(new Set(twins.map(({ id }) => id)).size).toBe(2)
      await eventually(
        'both to tell what they hold',
        () => fleet.runners(),
        (list) => list.reduce((sum, { held }) => sum + held, 0) === SESSIONS,
      )
      const [first] = twins
      await first.kill()
      await fleet.connected(isOwnedBy(twins[1]))
      await expectPeace(world, fleet)
      await expectFenced(fleet)
    })

    test('E1 E7: a session whose owner was changed under a live runner is let go of in silence, not called a conflict', async () => {
      const fleet = await startFleet(world, set, { sessions: 2 })
      const one = await fleet.startRunner()
      await fleet.connected(isOwnedBy(one))
      const other = await fleet.startRunner()
      await fleet.withStores(async (stores) => {
        const key = 'acme~s0' as never
        const expectEpoch = (await stores.owners.get(key))?.epoch ?? 0
        const ask = { key, runnerId: other.id as never, expectEpoch, nonce: 'by hand', nowMs: Date.now() }
        await stores.owners.claim(ask)
      })
      await fleet.connected(({ id, status }) => status.owner?.runnerId === (id === 's0' ? other.id : one.id))
      expect(await kindsOf(fleet)).not.toContain('phase conflict')
      expect(Math.max(...(await loginsOf(fleet)))).toBeLessThanOrEqual(2)
      await expectFenced(fleet)
    })

    test('E1: a stranger with the same credentials is a conflict that says since when and what to do; resume takes it back once', async () => {
      const fleet = await startFleet(world, set, { sessions: 1 })
      const runner = await fleet.startRunner()
      await fleet.connected(isOwnedBy(runner))
      const { api, seeded } = fleet
      const stranger = await startFleet(world, set, { sessions: 1, seeded })
      await stranger.startRunner()
      const conflict = await inPhase(api, 's0', 'conflict')
      expect(conflict.status).toMatchObject({
        lastDisconnect: { code: 440, why: 'replaced', at: expect.any(String) },
        reason: expect.stringContaining('resume'),
      })
      await stranger.connected()
      expect(await loginsOf(fleet)).toEqual([2])

      await api.act('s0', 'resume')
      await inPhase(stranger.api, 's0', 'conflict')
      await fleet.connected()
      await stranger.api.act('s0', 'resume')
      await inPhase(api, 's0', 'conflict')
      await stranger.connected()
      // Each took it once for each word of a person, and never by itself.
      expect(await loginsOf(fleet)).toEqual([4])
      await eventually(
        'the status of the runner to be told',
        () => seen(fleet, runner),
        (now) => now?.held === 0,
      )
    })
  })

  describe.skipIf(name === 'embedded')(
    'cut off from the store (a file of one machine is never cut off from one process alone)',
    () => {
      test.each(['drop', 'pause'] as const)(
        'E7: a runner alone without the store (%s) lets go in time, is taken over without a conflict, and steals nothing when it is back',
        async (mode) => {
          const fleet = await startFleet(world, set, { sessions: SESSIONS, env: lease })
          const proxy = await startCutProxy(set.firestore)
          try {
            const lonely = await fleet.startRunner({ FIRESTORE_EMULATOR_HOST: proxy.address })
            await fleet.connected(isOwnedBy(lonely))
            const heir = await fleet.startRunner()
            const traffic = await startTraffic(world, fleet)
            await world.whatsapp.resetReport()
            proxy.mode(mode)
            await lonely.says('lease lost; every socket is dropped')
            const taken = await fleet.connected(isOwnedBy(heir))
            proxy.mode('pass')
            await renewsAgain(fleet, lonely)
            await traffic.stop()
            expect(owners(await fleet.connected())).toEqual(owners(taken))
            expect((await seen(fleet, lonely))?.held).toBe(0)
            expect(await loginsOf(fleet)).toEqual(Array(SESSIONS).fill(1))
            await expectPeace(world, fleet)
            await expectFenced(fleet)
          } finally {
            proxy.mode('pass')
            await proxy.close()
          }
        },
      )

      test('E7: claims whose answers are lost leave every session with exactly one owner', async () => {
        const fleet = await startFleet(world, set, { sessions: SESSIONS })
        const proxy = await startCutProxy(set.firestore)
        try {
          const first = await fleet.startRunner()
          await fleet.connected(isOwnedBy(first))
          await world.whatsapp.resetReport()
          const heir = await fleet.startRunner({ FIRESTORE_EMULATOR_HOST: proxy.address })
          proxy.cutAnswer(2)
          const gone = first.stop()
          let cuts = 0
          await eventually(
            'every session to be elsewhere',
            async () => {
              if (proxy.hasCut() && cuts < 5) {
                cuts++
                proxy.cutAnswer(cuts)
              }
              return openOf(fleet)
            },
            (open) => !first.child.alive && open === SESSIONS,
          )
          expect(await gone).toEqual({ code: 0, signal: null })
          expect(cuts).toBeGreaterThan(0)
          await fleet.connected(isOwnedBy(heir))
          await expectPeace(world, fleet)
          await expectFenced(fleet)
        } finally {
          await proxy.close()
        }
      })
    },
  )
})
