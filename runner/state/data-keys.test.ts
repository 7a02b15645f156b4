import { describe, expect, test } from 'vitest'
import { open, seal } from '#shared/envelope.ts'
import { CodedError } from '#shared/errors.ts'
import { systemRandom } from '#shared/random.ts'
import type { KeyWrapper } from '#shared/store/key-wrapper.ts'
import { dataKeys } from './data-keys.ts'
import { KEY, openWorld, type World } from './testing.ts'

const keysOf = (world: World, keys: KeyWrapper = world.stores.keys) =>
  dataKeys({ stores: { sessions: world.stores.sessions, keys }, clock: world.clock, random: systemRandom })

/** A key-encryption key in version 2; it still unwraps what version 1 wrapped. */
const newer = (keys: KeyWrapper): KeyWrapper => ({
  wrap: async (...ask) => ({ ...(await keys.wrap(...ask)), keyVersion: 'v2' }),
  unwrap: (...ask) => keys.unwrap(...ask),
  currentVersion: async () => 'v2',
})

describe('data keys', () => {
  test('C7 a session has one of its own from the first time on, stored wrapped only', async () => {
    await using world = await openWorld()
    const ring = await keysOf(world).ring(KEY, await world.session())
    const [stored, ...more] = (await world.session()).dataKeys
    expect(more).toEqual([])
    expect(stored?.id).toBe(ring.current.id)
    expect(ring.current.bytes).toHaveLength(32)
    expect(Buffer.from(stored?.wrapped ?? []).includes(Buffer.from(ring.current.bytes))).toBe(false)
    const again = await keysOf(world).ring(KEY, await world.session())
    expect(again.current).toEqual(ring.current)
  })

  test('two runners at once agree on one first key', async () => {
    await using world = await openWorld()
    const session = await world.session()
    const rings = await Promise.all([1, 2, 3].map(() => keysOf(world).ring(KEY, session)))
    expect(new Set(rings.map((ring) => ring.current.id)).size).toBe(1)
    expect((await world.session()).dataKeys).toHaveLength(1)
  })

  test('C7 rotation puts a new key in use and keeps the old one for what it sealed', async () => {
    await using world = await openWorld()
    const keys = keysOf(world)
    const old = await keys.ring(KEY, await world.session())
    const sealed = seal(old.current, Buffer.from('old'), 'place')
    const ring = await keys.rotate(KEY, old, (await world.session()).dataKeys)
    expect(ring.current.id).not.toBe(old.current.id)
    expect(ring.current.bytes).not.toEqual(old.current.bytes)
    for (const one of [ring, await keysOf(world).ring(KEY, await world.session())]) {
      expect(one.current).toEqual(ring.current)
      expect(open((id) => one.find(id), sealed, 'place').toString()).toBe('old')
    }
  })

  test('of two rotations at once one is told to look again', async () => {
    await using world = await openWorld()
    const keys = keysOf(world)
    const ring = await keys.ring(KEY, await world.session())
    const { dataKeys: known } = await world.session()
    const results = await Promise.allSettled([1, 2].map(() => keys.rotate(KEY, ring, known)))
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(results.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'conflict' },
    })
    expect((await world.session()).dataKeys).toHaveLength(2)
  })

  test('C7 a newer key-encryption key wraps them anew, once, and they stay the same', async () => {
    await using world = await openWorld()
    const ring = await keysOf(world).ring(KEY, await world.session())
    const keys = keysOf(world, newer(world.stores.keys))
    const before = (await world.session()).dataKeys
    expect(await keys.rewrap(KEY, ring, before)).toBe(1)
    const after = (await world.session()).dataKeys
    expect(after).toMatchObject([{ id: ring.current.id, keyVersion: 'v2', createdAt: before[0]?.createdAt }])
    expect(after[0]?.wrapped).not.toEqual(before[0]?.wrapped)
    expect(await keys.rewrap(KEY, ring, after)).toBe(0)
    expect((await keys.ring(KEY, await world.session())).current).toEqual(ring.current)
  })

  test('a key that another session’s record was given can’t be opened', async () => {
    await using world = await openWorld()
    await keysOf(world).ring(KEY, await world.session())
    const session = await world.session()
    const moved = keysOf(world).ring('acme~s_2' as typeof KEY, session)
    await expect(moved).rejects.toMatchObject({ code: 'wrong_key' })
  })

  test('a session that was removed meanwhile is said to be gone', async () => {
    await using world = await openWorld()
    const session = await world.session()
    const { sessions, keys } = world.stores
    const conflicting = {
      ...sessions,
      putDataKey: () => Promise.reject(new CodedError('conflict', 'put data key')),
    }
    await sessions.erase(KEY)
    const gone = dataKeys({
      stores: { sessions: conflicting, keys },
      clock: world.clock,
      random: systemRandom,
    })
    await expect(gone.ring(KEY, session)).rejects.toMatchObject({ code: 'not_found' })
  })
})
