import { afterEach, describe, expect, test } from 'vitest'
import { startCutProxy, type CutProxy } from '#test/cloud/cut-proxy.ts'
import { skipReason } from '#test/cloud/google-subject.ts'
import { eventually } from '#test/e2e/eventually.ts'
import { useWorld } from '#test/e2e/world.ts'
import { expectFenced, expectPeace, isOwnedBy, owners, startFleet } from './fleet.ts'
import { sightOf } from './sight.ts'
import { useStoreSet } from './store-sets.ts'
import { startTraffic } from './traffic.ts'

const SESSIONS = 6
/** Of one hand-over: enough that reads, claims and barriers are hit. */
const CUTS = 5

// The embedded stores are files of one machine: nothing stands between one process alone and them.
describe.skipIf(skipReason !== undefined)('google', () => {
  const world = useWorld()
  const set = useStoreSet('google')
  let proxy: CutProxy | undefined

  afterEach(async () => {
    proxy?.mode('pass')
    await proxy?.close()
  })

  test.each(['drop', 'pause'] as const)(
    'E7: a runner alone without the store (%s) lets go in time, is taken over without a conflict, and steals nothing when it is back',
    async (mode) => {
      const fleet = await startFleet(world, set, { sessions: SESSIONS })
      const see = sightOf(world, fleet)
      const cut = (proxy = await startCutProxy(set.firestore))
      const lonely = await fleet.startRunner({ FIRESTORE_EMULATOR_HOST: cut.address })
      await fleet.connected(isOwnedBy(lonely))
      const heir = await fleet.startRunner()
      const traffic = await startTraffic(world, fleet)
      await world.whatsapp.resetReport()

      cut.mode(mode)
      await lonely.says('lease lost; every socket is dropped')
      const taken = await fleet.connected(isOwnedBy(heir))
      cut.mode('pass')
      await see.renewal(lonely)
      await traffic.stop()

      expect(owners(await fleet.connected())).toEqual(owners(taken))
      await see.shown(lonely, ({ held }) => held === 0)
      expect(await see.logins()).toEqual(Array.from({ length: SESSIONS }, () => 1))
      // Never two connections: one let go before the other began.
      await expectPeace(world, fleet)
      await expectFenced(fleet)
    },
  )

  test('E7: claims whose answers are lost leave every session with exactly one owner', async () => {
    const fleet = await startFleet(world, set, { sessions: SESSIONS })
    const see = sightOf(world, fleet)
    const cut = (proxy = await startCutProxy(set.firestore))
    const first = await fleet.startRunner()
    await fleet.connected(isOwnedBy(first))
    await world.whatsapp.resetReport()
    const heir = await fleet.startRunner({ FIRESTORE_EMULATOR_HOST: cut.address })
    let cuts = 1
    cut.cutAnswer(cuts)
    const gone = first.stop()
    await eventually(
      'every session to be elsewhere',
      () => {
        if (cut.hasCut() && cuts < CUTS) cut.cutAnswer(++cuts)
        return see.open()
      },
      (open) => !first.child.alive && open === SESSIONS,
    )
    expect(await gone).toEqual({ code: 0, signal: null })
    expect(cuts).toBeGreaterThan(1)
    await fleet.connected(isOwnedBy(heir))
    await expectPeace(world, fleet)
    await expectFenced(fleet)
  })
})
