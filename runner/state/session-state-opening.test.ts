import { describe, expect, test } from 'vitest'
import { CREDS_KEY, decodeValue } from './record.ts'
import { dyingStores, entries } from './session-state.fixture.ts'
import { SessionState } from './session-state.ts'
import { bytes, contentOf, credsRecord, KEY, openWorld, write, type World } from './testing.ts'

const heads = async (world: World) => (await entries(world)).map(({ seq, epoch }) => `${seq}@${epoch}`)

describe('opening a state', () => {
  test('E7 puts a barrier of this epoch behind it, at which an older owner is fenced', async () => {
    await using world = await openWorld()
    const old = await world.open(1)
    await write(old, { a: 'A' })
    const state = await world.open(2)
    expect(await heads(world)).toEqual(['1@1', '2@1', '3@2'])
    const told: unknown[] = []
    old.onBroken((error) => told.push(error))
    await expect(write(old, { late: 'L' })).rejects.toMatchObject({ code: 'fenced' })
    expect(told).toMatchObject([{ code: 'fenced' }])
    expect(old.broken).toMatchObject({ code: 'fenced' })
    await write(state, { b: 'B' })
    expect(contentOf((await world.open(3)).records)).toEqual({ a: 'A', b: 'B' })
  })

  test('a late entry of the predecessor, between rehydration and barrier, is taken in', async () => {
    await using world = await openWorld()
    const old = await world.open(1)
    await write(old, { a: 'A' })
    const deps = world.deps({ copiesDir: `${world.folder}/none` })
    const append = world.stores.journal.append.bind(world.stores.journal)
    let late: Promise<void> | undefined
    deps.stores.journal = {
      ...world.stores.journal,
      append: async (key, entry) => {
        late ??= write(old, { late: 'L' })
        await late
        return append(key, entry)
      },
    }
    const state = await world.open(2, deps)
    expect(contentOf(state.records)).toEqual({ a: 'A', late: 'L' })
    expect(await heads(world)).toEqual(['1@1', '2@1', '3@1', '4@2'])
  })

  test('E7 an owner of an older epoch than the journal’s is refused at once', async () => {
    await using world = await openWorld()
    await world.open(5)
    await expect(world.open(4)).rejects.toMatchObject({ code: 'fenced' })
    expect(await heads(world)).toEqual(['1@5'])
  })

  test('the same owner may open it again, after a write of its own whose answer never came', async () => {
    await using world = await openWorld()
    const first = await world.open(1)
    await write(first, { a: 'A' })
    const again = await world.open(1)
    await expect(write(first, { b: 'B' })).rejects.toMatchObject({ code: 'seq_taken' })
    await write(again, { c: 'C' })
    expect(contentOf((await world.open(2)).records)).toEqual({ a: 'A', c: 'C' })
  })

  test('a complete state keeps its ratchets, and lifts only counters that lie too low', async () => {
    await using world = await openWorld()
    const first = await world.open(1)
    await first.journal.set([
      [CREDS_KEY, credsRecord({ nextPreKeyId: 31 })],
      ['pre-key/40', bytes('x')],
    ])
    const state = await world.open(2)
    expect(state.storedCreds()).toMatchObject({ nextPreKeyId: 41, firstUnuploadedPreKeyId: 41 })
    expect((await world.stores.snapshots.list(KEY)).length).toBe(0)
    expect(await heads(world)).toEqual(['1@1', '2@1', '3@2', '4@2'])
  })

  /** A state whose entry 4 is lost. */
  async function torn(world: World) {
    const state = await world.open(1)
    await state.journal.set([[CREDS_KEY, credsRecord({ nextPreKeyId: 31 })]])
    await state.snapshot('demand')
    await write(state, { 'sender-key-memory/1@g.us': 'x', b: 'B', c: 'C' })
    const read = world.stores.journal.read.bind(world.stores.journal)
    world.stores.journal.read = async (...ask) => (await read(...ask)).filter(({ seq }) => seq !== 4)
  }

  test('an incomplete state is fenced, and a fallback snapshot bridges the gap', async () => {
    await using world = await openWorld()
    await torn(world)
    const state = await world.open(2)
    expect(state.rebuilt.complete).toBe(false)
    expect(Object.keys(contentOf(state.records))).toEqual([CREDS_KEY])
    expect(state.storedCreds()).toMatchObject({ nextPreKeyId: 31 + 1_000 })
    expect((await world.stores.snapshots.list(KEY))[0]).toMatchObject({
      reason: 'fallback',
      seq: 7,
      epoch: 2,
    })
    const next = await world.open(3)
    expect(next.rebuilt).toMatchObject({ complete: true, troubles: [] })
    expect(contentOf(next.records)).toEqual(contentOf(state.records))
  })

  test('a crash at any point of that leaves a state that is fenced again, or done', async () => {
    for (const how of ['before', 'after'] as const) {
      for (let nth = 1; ; nth++) {
        await using world = await openWorld()
        await torn(world)
        const dying = dyingStores(world, nth, how)
        const crashed = world.open(2, world.deps({ stores: dying.stores, copiesDir: `${world.folder}/x` }))
        await crashed.catch(() => undefined)
        const state = await world.open(3)
        expect(state.storedCreds()).toMatchObject({ nextPreKeyId: 31 + 1_000 })
        expect(Object.keys(contentOf(state.records))).toEqual([CREDS_KEY])
        expect((await world.open(4)).rebuilt).toMatchObject({ complete: true, troubles: [] })
        if (!dying.died()) break
      }
    }
  })

  test('B4 when nothing can be read nothing is made up: every start says so, until there is a state', async () => {
    await using world = await openWorld()
    const first = await world.open(1)
    await write(first, { a: 'A' })
    for (let at = 0; at < 2; at++) await first.snapshot('demand')
    for (const { object } of await world.stores.snapshots.list(KEY)) await world.stores.blobs.remove(object)
    for (const epoch of [2, 3]) {
      const state = await world.open(epoch)
      expect(state.rebuilt).toMatchObject({ complete: false })
      expect(state.storedCreds()).toBeUndefined()
    }
    const state = await world.open(4)
    await state.reset([[CREDS_KEY, credsRecord()]])
    const next = await world.open(5)
    expect(next.rebuilt).toMatchObject({ complete: true })
    expect(next.storedCreds()).toEqual(decodeValue(credsRecord()))
  })

  test('C7 a data key that another runner made meanwhile is no damage', async () => {
    await using world = await openWorld()
    const first = await world.open(1)
    await write(first, { a: 'A' })
    const stale = await world.session()
    await first.rotate(await world.session())
    await write(first, { b: 'B' })
    const deps = world.deps({ copiesDir: `${world.folder}/none` })
    const state = await SessionState.open(deps, stale, KEY, { epoch: 2 })
    expect(state.rebuilt).toMatchObject({ complete: true, troubles: [] })
    expect(contentOf(state.records)).toEqual({ a: 'A', b: 'B' })
  })
})
