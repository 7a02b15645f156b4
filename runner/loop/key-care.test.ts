import { expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { seededRandom } from '#shared/random.ts'
import { dataKeys } from '../state/data-keys.ts'
import { runner } from '#test/contract/samples.ts'
import { KEY, memory, sessionOf, silent } from '../runner.fixture.ts'
import type { KeyRing } from '../state/data-keys.ts'
import { KeyCare, type KeyCareNeeds } from './key-care.ts'
import type { SlowWork } from './slow-lane.ts'
import { View } from './view.ts'

const DAY_MS = 86_400_000

async function begin() {
  const clock = fakeClock()
  const { stores } = memory(clock)
  const session = sessionOf()
  await stores.sessions.create(session)
  const keys = dataKeys({ stores, clock, random: seededRandom(1) })
  const ring = await keys.ring(KEY, session)
  const view = new View(stores, clock)
  await view.load()
  const queued: string[] = []
  const stateless: { state: { rotate: () => Promise<void>; ring: KeyRing; epoch: number } | undefined } = {
    state: undefined,
  }
  let working: Promise<void> = Promise.resolve()
  const context = {
    stores,
    clock,
    view,
    log: silent,
    dataKeys: keys,
    lease: { id: runner('me') },
    runners: { candidates: () => [] },
    live: new Map([[KEY, stateless]]),
    snapshots: {
      offer: (key: string, work: SlowWork) => {
        queued.push(key)
        working = work(new AbortController().signal)
        return true
      },
    },
    reporter: { event: () => undefined },
  } satisfies KeyCareNeeds
  const care = new KeyCare(context, 90 * DAY_MS)
  const look = async (): Promise<void> => {
    care.look()
    await working
  }
  const liveWith = (rotate: () => Promise<void>): void =>
    void context.live.set(KEY, { state: { rotate, ring, epoch: 1 } })
  return { clock, stores, context, queued, care, look, liveWith }
}

test('a session gets a new data key once its newest is old, and not before', async () => {
  const { clock, look, liveWith, queued } = await begin()
  let rotated = 0
  liveWith(async () => void rotated++)
  await clock.advance(89 * DAY_MS)
  await look()
  expect([queued, rotated]).toEqual([[], 0])
  await clock.advance(DAY_MS)
  await look()
  expect([queued, rotated]).toEqual([[KEY], 1])
})

test('one whose rotation fails waits, and is tried again', async () => {
  const { clock, look, liveWith, queued } = await begin()
  liveWith(() => Promise.reject(new Error('away')))
  await clock.advance(90 * DAY_MS)
  await look()
  await look()
  expect(queued).toEqual([KEY])
  await clock.advance(3_600_000)
  await look()
  expect(queued).toEqual([KEY, KEY])
})

test('data keys that an older key-encryption key wrapped are wrapped anew, and open as before', async () => {
  const { stores, context, care } = await begin()
  const before = await stores.sessions.get(KEY)
  const [known] = before?.dataKeys ?? []
  if (!known) throw new Error('the session has a data key')
  await stores.sessions.putDataKey(KEY, { ...known, keyVersion: 'an older one' })
  await context.view.refreshSession(KEY)
  const opened = await context.dataKeys.ring(KEY, before ?? sessionOf())
  await care.rewrap()
  const after = await stores.sessions.get(KEY)
  expect(after?.dataKeys).toMatchObject([{ id: known.id, keyVersion: await stores.keys.currentVersion() }])
  const ring = await context.dataKeys.ring(KEY, after ?? sessionOf())
  expect(ring.current).toEqual(opened.current)
})
