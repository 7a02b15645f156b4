import { describe, expect, test, vi } from 'vitest'
import { RecordMap } from './record-map.ts'
import { KEY, openWorld, turn, write, type World } from './testing.ts'

const never = (): Promise<never> => new Promise(() => undefined)
const snapshotsOf = async (world: World) =>
  (await world.stores.snapshots.list(KEY)).map(({ reason }) => reason)

const onlyDue = () => ({ due: new AbortController().signal })
const ended = (snapshot: Promise<unknown>): Promise<void> =>
  expect(snapshot).rejects.toMatchObject({ code: 'closed' })

/** Objects are created when a test says so; resolves when they are. */
function hold(world: World): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const create = world.stores.blobs.create.bind(world.stores.blobs)
  const created: Promise<void>[] = []
  world.stores.blobs.create = (...ask) => {
    const one = promise.then(() => create(...ask))
    created.push(one)
    return one
  }
  return async () => {
    world.stores.blobs.create = create
    resolve()
    await Promise.all(created)
  }
}

describe('F21 a snapshot that hangs', () => {
  test('and was only due gives way to a restore', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    await write(state, { a: '1' })
    const letGo = hold(world)
    const due = [ended(state.snapshot('size', onlyDue())), ended(state.snapshot('age', onlyDue()))]
    await turn()
    const restoring = state.replaceBy(new RecordMap(), 'restored')
    await due[0]
    await letGo()
    await Promise.all([restoring, ...due])
    expect(await snapshotsOf(world)).toEqual(['restored'])
  })

  test('and was only due ends when its lane says so, and is due again', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    for (let at = 0; at < 20; at++)
      await state.journal.set([[`random/${at}`, crypto.getRandomValues(new Uint8Array(60_000))]])
    world.stores.blobs.create = never
    const stop = new AbortController()
    const due = state.snapshot('size', { due: stop.signal })
    await turn()
    stop.abort(new Error('enough'))
    await expect(due).rejects.toThrow('enough')
    expect(state.snapshotDue(Date.now())).toBe('size')
  })

  test('ends with the hand-over, whoever waits for it, and what the store keeps of it later is removed', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    await write(state, { a: '1' })
    const letGo = hold(world)
    const asked = [state.snapshot('demand'), state.snapshot('logout', { label: 'logout' })]
    await turn()
    state.interrupt()
    for (const one of asked) await expect(one).rejects.toMatchObject({ code: 'closed' })
    await letGo()
    await vi.waitFor(async () => expect(await world.stores.blobs.list('snapshots/')).toEqual([]))
    expect(await snapshotsOf(world)).toEqual([])
    await state.snapshot('demand')
    expect(await snapshotsOf(world)).toEqual(['demand'])
  })

  test('ends a replacement before it has begun to replace anything', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    await write(state, { a: '1' })
    const { seq } = state.journal
    hold(world)
    const replacing = state.replaceBy(new RecordMap(), 'restored')
    await turn()
    state.interrupt()
    await expect(replacing).rejects.toMatchObject({ code: 'closed' })
    await write(state, { b: '2' })
    expect([state.records.get('a')?.toString(), state.journal.seq]).toEqual(['1', seq + 1])
  })
})
