import { describe, expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import type { Stores } from '#shared/store/stores.ts'
import { openEntry } from './sealed-entry.ts'
import { dataKeyAad } from './aad.ts'
import { CREDS_KEY } from './record.ts'
import { RecordMap } from './record-map.ts'
import { dyingStores, entries } from './session-state.fixture.ts'
import { bytes, contentOf, credsRecord, KEY, openWorld, write, type World } from './testing.ts'

function other(content: Record<string, string>): RecordMap {
  const records = new RecordMap()
  for (const [key, value] of Object.entries(content)) records.set(key, bytes(value))
  return records
}

describe('a state', () => {
  test('A3 writes the live credentials with the next entry, and forgets them with a new identity', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    const live = { counter: 1 }
    state.followCreds(() => [CREDS_KEY, credsRecord(live)])
    live.counter = 2
    state.journal.credsChanged()
    await state.journal.flush()
    expect(state.storedCreds()).toMatchObject({ counter: 2 })
    await state.reset([])
    state.journal.credsChanged()
    await state.journal.flush()
    expect(state.storedCreds()).toBeUndefined()
    expect((await world.open(2)).storedCreds()).toBeUndefined()
  })

  test('E4 a reset leaves nothing of what was before, on any start', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    await write(state, { a: 'A' })
    await state.snapshot('demand')
    await write(state, { b: 'B' })
    await state.reset([['c', bytes('C')]])
    await write(state, { d: 'D' })
    expect(contentOf((await world.open(2)).records)).toEqual({ c: 'C', d: 'D' })
  })

  test('C4 replaced by another one is that one, and goes on from there', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    await write(state, { a: 'A', b: 'B' })
    state.followCreds(() => [CREDS_KEY, credsRecord()])
    const record = await state.replaceBy(other({ b: 'restored', z: 'Z' }), 'restored')
    expect(record).toMatchObject({ reason: 'restored', seq: 4, epoch: 1 })
    expect(contentOf(state.records)).toEqual({ b: 'restored', z: 'Z' })
    state.journal.credsChanged()
    await write(state, { b: 'restored and more' })
    const expected = { b: 'restored and more', z: 'Z' }
    expect(contentOf((await world.open(2)).records)).toEqual(expected)
    // The entry names the object, so not even the record is needed.
    await world.stores.snapshots.remove(KEY, record.id)
    const rebuilt = await world.open(3)
    expect(contentOf(rebuilt.records)).toEqual(expected)
    expect(rebuilt.rebuilt.complete).toBe(true)
  })

  test('replaced while the store dies, at any write, is the old one or the new one', async () => {
    const seen = new Set<string>()
    for (const how of ['before', 'after'] as const) {
      for (let nth = 1; ; nth++) {
        await using world = await openWorld()
        const first = await world.open(1)
        await write(first, { a: 'A', old: 'O' })
        await first.snapshot('demand')
        await write(first, { old: 'O2' })
        const dying = dyingStores(world, nth + 1, how)
        const state = await world.open(
          2,
          world.deps({ stores: dying.stores, copiesDir: `${world.folder}/x` }),
        )
        await state.replaceBy(other({ a: 'new', n: 'N' }), 'restored').catch(() => undefined)
        const next = await world.open(3)
        expect(next.rebuilt).toMatchObject({ complete: true, troubles: [] })
        const content = JSON.stringify(contentOf(next.records))
        expect(['{"a":"A","old":"O2"}', '{"a":"new","n":"N"}']).toContain(content)
        seen.add(content)
        await write(next, { more: 'M' })
        expect(contentOf((await world.open(4)).records)).toEqual(contentOf(next.records))
        if (!dying.died()) break
      }
    }
    expect(seen.size).toBe(2)
  })

  test('a replace by an owner who was superseded meanwhile leaves no trace in the state', async () => {
    await using world = await openWorld()
    const frozen = await world.open(1)
    await write(frozen, { a: 'A' })
    const create = world.stores.blobs.create.bind(world.stores.blobs)
    let successor: Awaited<ReturnType<World['open']>> | undefined
    world.stores.blobs.create = async (...ask) => {
      successor ??= await world.open(2)
      return create(...ask)
    }
    await expect(frozen.replaceBy(other({ z: 'Z' }), 'restored')).rejects.toMatchObject({ code: 'fenced' })
    if (!successor) throw new Error('nobody took over')
    await write(successor, { b: 'B' })
    expect(contentOf((await world.open(3)).records)).toEqual({ a: 'A', b: 'B' })
    expect(await world.stores.snapshots.list(KEY)).toEqual([])
  })

  test('a replace that the store refuses leaves the old state in use', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    await write(state, { a: 'A' })
    const create = world.stores.blobs.create.bind(world.stores.blobs)
    world.stores.blobs.create = () => Promise.reject(new CodedError('store_unavailable', 'create'))
    await expect(state.replaceBy(other({ z: 'Z' }), 'restored')).rejects.toMatchObject({
      code: 'store_unavailable',
    })
    world.stores.blobs.create = create
    await write(state, { b: 'B' })
    expect(contentOf(state.records)).toEqual({ a: 'A', b: 'B' })
    expect(contentOf((await world.open(2)).records)).toEqual({ a: 'A', b: 'B' })
  })

  test('C7 rotation seals all that follows with a new key, and everything stays readable', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    await write(state, { a: 'A' })
    const { id: before } = state.ring.current
    await state.rotate(await world.session())
    const { id: after } = state.ring.current
    expect(after).not.toBe(before)
    await write(state, { b: 'B' })
    const [snapshot] = await world.stores.snapshots.list(KEY)
    expect(snapshot).toMatchObject({ dataKeyId: after, reason: 'rotate' })
    const last = (await entries(world)).at(-1)
    if (!last) throw new Error('no entry')
    const onlyNew = {
      ids: [after],
      current: state.ring.current,
      find: (id: string) => (id === after ? state.ring.current : undefined),
    }
    expect(openEntry(KEY, last, onlyNew, new RecordMap()).changes).toEqual([['b', bytes('B')]])
    expect(contentOf((await world.open(2)).records)).toEqual({ a: 'A', b: 'B' })
  })

  test('C7 a key that an earlier rotation stored late does not make this one fail', async () => {
    await using world = await openWorld()
    const { stores } = world
    const late = { id: 'late-key', keyVersion: '1', createdAt: 1 }
    const { wrapped } = await stores.keys.wrap(new Uint8Array(32).fill(9), dataKeyAad(KEY, late.id))
    let reads = 0
    const sessions: Stores['sessions'] = {
      ...stores.sessions,
      get: async (key) => {
        const found = await stores.sessions.get(key)
        // The second read is the one of the rotation; the first opened the state.
        if (++reads === 2) await stores.sessions.putDataKey(KEY, { ...late, wrapped })
        return found
      },
    }
    const state = await world.open(1, world.deps({ stores: { ...stores, sessions } }))
    await write(state, { a: 'A' })
    await state.rotate(await world.session())
    expect(state.ring.ids).toHaveLength(3)
    expect(state.ring.ids[1]).toBe('late-key')
    expect(contentOf((await world.open(2)).records)).toEqual({ a: 'A' })
  })

  test('C7 an old data key is destroyed once no snapshot is sealed with it, and not before', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    await write(state, { a: 'A' })
    await state.snapshot('demand')
    await state.rotate(await world.session())
    expect((await world.session()).dataKeys).toHaveLength(2)
    // Retention keeps five snapshots; these push the one under the old key out.
    for (let count = 0; count < 5; count++) await state.snapshot('demand')
    expect((await world.session()).dataKeys.map((dataKey) => dataKey.id)).toEqual([state.ring.current.id])
    expect(contentOf((await world.open(2)).records)).toEqual({ a: 'A' })
  })
})
