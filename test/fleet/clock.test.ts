import { expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import type { OwnerStore } from '#shared/store/owner-store.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { preferredRunner } from '#runner/ownership/spread.ts'
import { eventually } from '#test/e2e/eventually.ts'
import { useWorld } from '#test/e2e/world.ts'
import { turnedClock, useLocalFleet, type LocalRunner } from './in-process.ts'

const SESSIONS = 6
const HOUR_MS = 3_600_000

const world = useWorld()
const begin = useLocalFleet()

const fleetOf = async (count = SESSIONS) => {
  const clock = turnedClock()
  return { clock, ...(await begin(clock, await world.whatsapp.seed({ count, preKeys: 1 }))) }
}
const openOn = (runner: LocalRunner, count: number) =>
  eventually(
    `${count} sessions on ${runner.runner.id}`,
    () => runner.open.size,
    (open) => open === count,
  )

test.each([
  ['forward', HOUR_MS],
  ['back', -HOUR_MS],
])('E7: the clock of the machine steps %s by an hour, and no session changes hands', async (_, stepMs) => {
  const { clock, start, owners, stores } = await fleetOf()
  const one = await start()
  await openOn(one, SESSIONS)
  const two = await start()
  const before = await owners()

  clock.turnWall(stepMs)
  // Each has looked at the other under the new time, and has renewed under it.
  const beats = async () => (await stores.runners.look()).records.map(({ beat }) => beat)
  const then = await beats()
  await eventually('both to have renewed twice', beats, (now) =>
    now.every((beat, at) => beat >= (then[at] ?? 0) + 2),
  )
  expect(await owners()).toEqual(before)
  expect(one.open.size).toBe(SESSIONS)
  expect(two.open.size).toBe(0)
  expect(one.lines.filter(({ message }) => message.startsWith('lease lost'))).toEqual([])
})

test('E7: a claim whose answer is lost leaves exactly one owner, whoever of two it was', async () => {
  const { start, owners } = await fleetOf()
  const lost = { kind: 'fail_after', error: new CodedError('store_unavailable', 'scripted') } as const
  const script = (): Script<OwnerStore> => ({ claim: Array.from({ length: SESSIONS }, () => lost) })
  const runners = await Promise.all([
    start((stores) => ({ ...stores, owners: faulty(stores.owners, script()) })),
    start((stores) => ({ ...stores, owners: faulty(stores.owners, script()) })),
  ])
  await eventually(
    'every session to be open',
    () => runners.reduce((sum, { open }) => sum + open.size, 0),
    (open) => open === SESSIONS,
  )
  for (const [at, owner] of (await owners()).entries()) {
    const holders = runners.filter(({ open }) => [...open.keys()].some((key) => key.endsWith(`~s${at}`)))
    expect(holders.map(({ runner }) => runner.id)).toEqual([owner?.runnerId])
  }
})

test('E1 E7: a connection that ends with 440 is let go of in silence when another runner of ours has the session', async () => {
  const { start, stores, keys } = await fleetOf(1)
  // It hears of nothing but its own connections.
  const deaf = (whole: typeof stores): typeof stores => {
    const watch = () => ({ close: () => Promise.resolve() })
    return { ...whole, owners: { ...whole.owners, watch } }
  }
  const one = await start(deaf)
  await openOn(one, 1)
  const [key] = keys
  if (!key) throw new Error('there is one')
  const other = await start()
  const owner = await stores.owners.get(key)
  const nonce = 'by hand'
  await stores.owners.claim({
    key,
    runnerId: other.runner.id as never,
    expectEpoch: owner?.epoch ?? 0,
    nonce,
    nowMs: 1,
  })
  await openOn(other, 1)
  one.open
    .get(key)
    ?.closed({ by: 'server', status: 440, conflict: 'replaced', message: 'Stream Errored (conflict)' })
  await openOn(one, 0)
  await eventually('the one to have let go', () => one.runner.held === 0)
  await eventually(
    'the status to be that of the other',
    () => stores.sessions.get(key),
    (session) => session?.status?.phase === 'connected',
  )
  expect(other.open.size).toBe(1)
})

test('E7: a process whose event loop stands still for less than its lease goes on, and is not taken for dead', async () => {
  const { start, owners } = await fleetOf()
  const one = await start()
  await openOn(one, SESSIONS)
  const two = await start()
  const before = await owners()
  // Both stand still, as on a machine that stalls; what they find then is older than they are used to.
  const untilMs = performance.now() + 4_000
  while (performance.now() < untilMs);
  await eventually('both to look again', async () => one.runner.held === SESSIONS)
  expect(await owners()).toEqual(before)
  expect([one.open.size, two.open.size]).toEqual([SESSIONS, 0])
})

test('B1 E7: a runner that is slow to see the others takes its share and no more', async () => {
  const { start, stores, keys, owners } = await fleetOf()
  const seen = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  // Its first look at the others hangs, while hints of the sessions come in.
  const slow = start((whole) => ({
    ...whole,
    runners: {
      ...whole.runners,
      look: async () => {
        asked.resolve()
        await seen.promise
        return whole.runners.look()
      },
    },
  }))
  await asked.promise
  for (const [nonce, key] of keys.entries())
    await stores.sessions.changeWant(key, (want) => want, { nonce: `hint ${nonce}`, nowMs: Date.now() })
  await start()
  seen.resolve()
  await slow
  await eventually('every session to be owned', owners, (all) => all.every((owner) => owner?.runnerId))
  const records = (await stores.runners.look()).records
  const wished = keys.map((key) => preferredRunner(key, records)?.id)
  expect((await owners()).map((owner) => owner?.runnerId)).toEqual(wished)
})
