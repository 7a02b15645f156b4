import { expect, test } from 'vitest'
import type { Problem } from '#test/e2e/api.ts'
import { systemClock } from '#shared/clock.ts'
import { CodedError } from '#shared/errors.ts'
import { parseRunnerId, type SessionKey } from '#shared/ids.ts'
import type { OwnerStore } from '#shared/store/owner-store.ts'
import type { RunnerStore } from '#shared/store/runner-store.ts'
import { faulty } from '#test/contract/faulty.ts'
import { eventually } from '#test/e2e/eventually.ts'
import { useWorld } from '#test/e2e/world.ts'
import { expectPeace, isOwnedBy, startFleet, stopInOrder } from './fleet.ts'
import { useLocalFleet } from './in-process.ts'
import { sightOf } from './sight.ts'
import { useStoreSet } from './store-sets.ts'
import { startTraffic } from './traffic.ts'

const SESSIONS = 12

const world = useWorld()
const set = useStoreSet('embedded')
const beginLocal = useLocalFleet()

test('B5: a runner that is asked to drain hands everything over, says so, and ends for its supervisor to start a new one', async () => {
  const fleet = await startFleet(world, set, { sessions: SESSIONS })
  const see = sightOf(world, fleet)
  const one = await fleet.startRunner()
  await fleet.connected(isOwnedBy(one))
  await see.shown(one, ({ alive, draining, held }) => alive && !draining && held === SESSIONS)
  const other = await fleet.startRunner()
  const traffic = await startTraffic(world, fleet)
  await world.whatsapp.resetReport()

  const asked = await fleet.api.call('POST', `/v1/runners/${one.id}/drain`)
  expect(asked).toMatchObject({ id: one.id, draining: true })
  expect(await one.says('drained')).toMatchObject({
    sessions: SESSIONS,
    left: 0,
    durationMs: expect.any(Number),
  })
  const moved = await fleet.connected(isOwnedBy(other))
  expect(await one.child.ended).toEqual({ code: 0, signal: null })
  expect(
    one.log('drained as asked; the process ends, and its supervisor is to start a new one'),
  ).toHaveLength(1)
  expect((await fleet.runners()).map(({ id }) => id)).toEqual([other.id])
  await see.shown(other, ({ draining, held }) => !draining && held === SESSIONS)
  await traffic.stop()
  await expectPeace(world, fleet)

  // What it saw coming it had rebuilt before: only what was written after that was left to replay.
  const ahead = other.log('session rehydrated').filter(({ from }) => from === 'prepared')
  expect(ahead.length).toBeGreaterThan(0)
  expect(ahead.filter(({ tail, entries }) => Number(tail) >= Number(entries))).toEqual([])

  // Owner and epoch stand in the status, and in every event that tells of them.
  for (const { id, status } of moved) {
    const { runnerId, epoch } = status.owner ?? {}
    expect(runnerId).toBe(other.id)
    const events = (await fleet.api.events(id)) as { kind: string; by: string; epoch?: number }[]
    const told = events.filter(({ kind }) => ['claim', 'takeover', 'release', 'phase'].includes(kind))
    expect(told.filter((event) => event.epoch === undefined)).toEqual([])
    expect(told).toContainEqual(
      expect.objectContaining({ kind: 'release', by: one.id, epoch: (epoch ?? 0) - 1 }),
    )
    expect(told).toContainEqual(expect.objectContaining({ kind: 'claim', by: other.id, epoch }))
    expect(told).toContainEqual(
      expect.objectContaining({ kind: 'phase', by: other.id, to: 'connected', epoch }),
    )
  }

  // It claimed nothing more.
  expect(one.log('session claimed').length + one.log('session taken over').length).toBe(SESSIONS)
})

test('B5: a drain that is taken back while it lasts keeps what is still here, and goes on like before', async () => {
  const seeded = await world.whatsapp.seed({ count: SESSIONS, preKeys: 1 })
  const { start, stores } = await beginLocal(systemClock, seeded)
  const drained: string[] = []
  const one = await start(undefined, undefined, () => drained.push('one'))
  await eventually(
    'all to be connected',
    () => one.open.size,
    (open) => open === SESSIONS,
  )
  // Its successor takes what it is given only later, so that the drain lasts.
  const mayClaim = Promise.withResolvers<void>()
  const late = { kind: 'delay', until: mayClaim.promise, when: 'before' } as const
  const other = await start((whole) => ({ ...whole, owners: faulty(whole.owners, { claim: late }) }))
  await stores.runners.drain(parseRunnerId(one.runner.id))
  await eventually(
    'the first to be handed over',
    () => one.open.size,
    (open) => open < SESSIONS,
  )
  await stores.runners.resume(parseRunnerId(one.runner.id))
  await eventually('the runner to hear of it', () =>
    one.lines.some(({ message }) => message === 'the drain was taken back'),
  )
  const kept = one.open.size
  expect(kept).toBeGreaterThan(0)
  mayClaim.resolve()
  await eventually(
    'all to be connected again',
    () => one.open.size + other.open.size,
    (open) => open === SESSIONS,
  )
  expect(one.open.size).toBeGreaterThanOrEqual(kept)
  expect(drained).toEqual([])
  const { records } = await stores.runners.look()
  expect(records.filter(({ draining }) => draining)).toEqual([])
})

test('B5: SIGTERM hands everything over, sums it up in one line, ends with 0 and leaves no lease behind', async () => {
  const fleet = await startFleet(world, set, { sessions: SESSIONS })
  const one = await fleet.startRunner()
  await fleet.connected(isOwnedBy(one))
  const other = await fleet.startRunner()
  const { sessions, durationMs } = await stopInOrder(one)
  console.log(`drain of ${String(sessions)}: ${String(durationMs)} ms`)
  expect(sessions).toBe(SESSIONS)
  await fleet.connected(isOwnedBy(other))
  expect((await fleet.runners()).map(({ id }) => id)).toEqual([other.id])
  await expect(fleet.api.call('POST', `/v1/runners/${one.id}/drain`)).rejects.toMatchObject({
    status: 404,
  } satisfies Partial<Problem>)
  await expectPeace(world, fleet)
})

test('B5: a second SIGTERM forces the end with 1; what was not handed over is taken over', async () => {
  const fleet = await startFleet(world, set, { sessions: SESSIONS })
  const one = await fleet.startRunner()
  await fleet.connected(isOwnedBy(one))
  // Nobody answers the end of a connection any more, so that a hand-over in order takes a while.
  await world.whatsapp.fault({ kind: 'freeze' })
  one.child.signal('SIGTERM')
  await one.says('draining')
  one.child.signal('SIGTERM')
  expect(await one.child.ended).toEqual({ code: 1, signal: null })
  expect(one.log('forced to end')).toHaveLength(1)
  await world.whatsapp.clearFaults()
  const other = await fleet.startRunner()
  await fleet.connected(isOwnedBy(other))
})

test('B5 E7: what is claimed while the drain begins goes as well, and stays in nobody’s name', async () => {
  const { start, stores, owners, keys } = await beginLocal(
    systemClock,
    await world.whatsapp.seed({ count: 2, preKeys: 1 }),
  )
  const answered = Promise.withResolvers<void>()
  const late = { kind: 'delay', until: answered.promise, when: 'after' } as const
  const one = await start((stores) => ({ ...stores, owners: faulty(stores.owners, { claim: late }) }))
  await eventually('every claim to be stored', owners, (seen) =>
    seen.every((owner) => owner?.runnerId === one.runner.id),
  )
  const stopping = one.runner.stop()
  await eventually(
    'the drain to have begun',
    () => stores.runners.look().then(({ records }) => records),
    ([record]) => record?.draining,
  )
  answered.resolve()
  expect(await stopping).toMatchObject({ left: 0 })
  expect(await owners()).toEqual(keys.map(() => expect.not.objectContaining({ runnerId: expect.anything() })))
  expect(one.open.size).toBe(0)
})

test('B5 E7: a claim whose answer is lost leaves nothing in the name of a runner that drains and lives on', async () => {
  const { start, stores, owners } = await beginLocal(
    systemClock,
    await world.whatsapp.seed({ count: 2, preKeys: 1 }),
  )
  const answered = Promise.withResolvers<void>()
  const store: OwnerStore = {
    ...stores.owners,
    claim: async (ask) => {
      await stores.owners.claim(ask)
      await answered.promise
      throw new CodedError('store_unavailable', 'scripted')
    },
  }
  const one = await start((whole) => ({ ...whole, owners: store }))
  await eventually('every claim to be stored', owners, (seen) =>
    seen.every((owner) => owner?.runnerId === one.runner.id),
  )
  const draining = one.runner.drain()
  await eventually(
    'the drain to have begun',
    () => stores.runners.look().then(({ records }) => records),
    ([record]) => record?.draining,
  )
  answered.resolve()
  await draining
  const other = await start()
  await eventually(
    'the other to have them',
    () => other.open.size,
    (open) => open === 2,
  )
  expect(await owners()).toEqual(
    Array.from({ length: 2 }, () => expect.objectContaining({ runnerId: other.runner.id })),
  )
})

test('B5: a successor that came up a moment ago is known to the drain, which then lets few sessions go at once', async () => {
  const { start } = await beginLocal(systemClock, await world.whatsapp.seed({ count: SESSIONS, preKeys: 1 }))
  const free = new Set<SessionKey>()
  let freeMax = 0
  const counted = (owners: OwnerStore): OwnerStore => ({
    ...owners,
    async release(ask) {
      await owners.release(ask)
      free.add(ask.key)
      freeMax = Math.max(freeMax, free.size)
    },
    async claim(ask) {
      const owner = await owners.claim(ask)
      free.delete(ask.key)
      return owner
    },
  })
  // It hears of no other runner, and looks for them only now and then.
  const deaf = (runners: RunnerStore): RunnerStore => ({
    ...runners,
    watch: () => ({ close: () => Promise.resolve() }),
  })
  const one = await start((whole) => ({
    ...whole,
    owners: counted(whole.owners),
    runners: deaf(whole.runners),
  }))
  await eventually('every session to be open', () => one.open.size === SESSIONS)
  const other = await start((whole) => ({ ...whole, owners: counted(whole.owners) }))
  await one.runner.stop()
  await eventually('the other to have them', () => other.open.size === SESSIONS)
  expect(freeMax).toBeGreaterThan(0)
  expect(freeMax).toBeLessThan(SESSIONS / 2)
})
