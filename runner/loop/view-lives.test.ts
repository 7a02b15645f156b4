import { expect, test } from 'vitest'
import { nameOfKey } from '#shared/ids.ts'
import type { Stores } from '#shared/store/stores.ts'
import { faulty } from '#test/contract/faulty.ts'
import { AT, keyOf, newSession, runner } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { memory } from '../runner.fixture.ts'
import { View } from './view.ts'

const FIRST = keyOf('acme', 'shop', 'l1')
const SECOND = keyOf('acme', 'shop', 'l2')
const NAME = nameOfKey(FIRST)
const DATA_KEY = { id: 'k', wrapped: new Uint8Array(), keyVersion: 'v', createdAt: 1 }

/** A view that has read the first life of a name. */
async function begin() {
  const clock = fakeClock()
  const { stores } = memory(clock)
  await stores.sessions.create(newSession('acme', 'shop', 'l1'))
  await stores.sessions.putDataKey(FIRST, DATA_KEY)
  const view = new View(stores, clock)
  await view.load()
  return { clock, stores, view }
}

const remove = ({ sessions }: Stores) => sessions.remove(FIRST, { purge: true, by: 'b', nowMs: AT })
const claim = ({ owners }: Stores) =>
  owners.claim({ key: FIRST, runnerId: runner('r'), expectEpoch: 0, nonce: 'n', nowMs: AT })

test('F1: a removal is shown as the session it was, wanted away, beside the next life of the name', async () => {
  const { stores, view } = await begin()
  await remove(stores)
  await stores.sessions.create(newSession('acme', 'shop', 'l2'))
  expect(await view.refreshName(NAME)).toEqual([SECOND, FIRST])
  expect(view.sessions.get(FIRST)).toMatchObject({
    want: { deleting: { purge: true } },
    dataKeys: [DATA_KEY],
  })
  expect(view.sessions.get(SECOND)?.want.deleting).toBeUndefined()
  const anew = new View(stores, fakeClock())
  await anew.load()
  expect([...anew.sessions.keys()].toSorted()).toEqual([FIRST, SECOND])
})

test('F2: a removal whose device is dealt with is shown without keys, and one that is over not at all', async () => {
  const { stores, view } = await begin()
  await remove(stores)
  await stores.removals.change(FIRST, (removal) => ({ ...removal, unlinkResult: { device: 'unlinked' } }))
  await view.refreshSession(FIRST)
  expect(view.sessions.get(FIRST)?.dataKeys).toEqual([])
  await stores.removals.change(FIRST, (removal) => ({ ...removal, phase: 'kept' }))
  expect(await view.refreshName(NAME)).toEqual([FIRST])
  expect(view.sessions.size).toBe(0)
  await stores.removals.remove(FIRST)
  await view.load()
  expect(view.sessions.size).toBe(0)
})

test('a name that changed nothing but its want is one key to look at, and one nobody knows is none', async () => {
  const { stores, view } = await begin()
  expect(await view.refreshName(NAME)).toEqual([FIRST])
  expect(await view.refreshName(nameOfKey(keyOf('acme', 'other')))).toEqual([])
  await stores.sessions.erase(FIRST)
  expect(await view.refreshName(NAME)).toEqual([FIRST])
  expect(view.sessions.has(FIRST)).toBe(false)
})

test('F1: an owner whose record is gone is nobody’s, unless it was learned after the question', async () => {
  const { clock, stores, view } = await begin()
  view.noteOwner(FIRST, await claim(stores))
  await stores.owners.remove(FIRST)
  await view.refreshOwner(FIRST)
  expect(view.owners.has(FIRST)).toBe(false)

  const { promise, resolve } = Promise.withResolvers<void>()
  const late = faulty(stores.owners, { get: { kind: 'delay', until: promise, when: 'after' } })
  const other = new View({ ...stores, owners: late }, clock)
  const asked = other.refreshOwner(FIRST)
  await clock.advance(5)
  other.noteOwner(FIRST, await claim(stores))
  resolve()
  await asked
  expect(other.owners.get(FIRST)?.epoch).toBe(1)

  await stores.owners.remove(FIRST)
  await clock.advance(5)
  await other.load()
  expect(other.owners.has(FIRST)).toBe(false)
})
