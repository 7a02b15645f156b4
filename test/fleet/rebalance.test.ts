import { expect, test } from 'vitest'
import { parseSessionId, parseTenantId, sessionKey } from '#shared/ids.ts'
import { preferredRunner } from '#runner/ownership/spread.ts'
import { TENANT } from '#test/e2e/installation.ts'
import { inPhase, pairByQr } from '#test/e2e/people.ts'
import { useWorld } from '#test/e2e/world.ts'
import { expectPeace, owners, startFleet, type RunnerProcess } from './fleet.ts'
import { useStoreSet } from './store-sets.ts'
import { startTraffic } from './traffic.ts'

const SESSIONS = 30
const CAPACITY = 500
/** More than the first minutes, in which a session is left where it is. */
const SETTLED_MS = 11 * 60_000
const MOVES = 'session moves to the runner that should have it'

const world = useWorld()
const set = useStoreSet('embedded')

test('E7: a third runner is given what it should have, under traffic and without a conflict, and then nothing moves any more', async () => {
  const fleet = await startFleet(world, set, {
    sessions: SESSIONS,
    pairedAgoMs: SETTLED_MS,
    env: { MOORING_REBALANCE_PER_MINUTE: '600' },
  })
  const preferredOf = (runners: readonly RunnerProcess[], session: string) =>
    preferredRunner(
      sessionKey(parseTenantId(TENANT), parseSessionId(session)),
      runners.map(({ id }) => ({ id, capacity: CAPACITY })),
    )?.id
  const atRest = (runners: readonly RunnerProcess[]) =>
    fleet.connected(({ id, status }) => status.owner?.runnerId === preferredOf(runners, id))
  const movesOf = (runners: readonly RunnerProcess[]) =>
    runners.flatMap((runner) => runner.log(MOVES).map(({ sessionId }) => sessionId))

  const two = await Promise.all([fleet.startRunner(), fleet.startRunner()])
  await atRest(two)
  // One is in its first minutes, one in the middle of its pairing.
  const young = await pairByQr(fleet.api, world.whatsapp, 'young', world.newNumber())
  await fleet.api.create('pairing')
  await fleet.api.openPairing('pairing')
  await inPhase(fleet.api, 'pairing', 'pairing')
  const stay = async () =>
    owners(await Promise.all([young.session, 'pairing'].map((id) => fleet.api.get(id))))
  const before = await stay()
  const traffic = await startTraffic(world, fleet)
  await world.whatsapp.resetReport()
  const earlier = movesOf(two).length

  const third = await fleet.startRunner()
  const three = [...two, third]
  const due = fleet.linked.filter(({ session }) => preferredOf(three, session) === third.id)
  expect(due.length).toBeGreaterThan(0)
  const settled = await atRest(three)
  await traffic.stop()
  expect(owners(await fleet.sessions())).toEqual(owners(settled))
  expect(await stay()).toEqual(before)
  // Each that had to move moved once, and no other did.
  const moved = movesOf(two).length - earlier
  expect(moved).toBe(due.length)
  expect(movesOf([third])).toEqual([])
  await expectPeace(world, fleet)
})
