import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Stores } from '#shared/store/stores.ts'
import { prepareState, type PreparedState } from './prepared.ts'
import { RecordMap } from './record-map.ts'
import { SessionState, type StateDeps } from './session-state.ts'
import { bytes, contentOf, KEY, openWorld, write, type World } from './testing.ts'

/** The owner's state: a snapshot, and entries after it. */
async function owned(world: World): Promise<SessionState> {
  const state = await world.open(1, world.deps())
  await write(state, { a: 'A' })
  await state.snapshot('demand')
  await write(state, { b: 'B', c: 'C' })
  return state
}

async function prepared(world: World, deps: StateDeps = world.deps()): Promise<PreparedState> {
  const state = await prepareState(deps, KEY)
  if (!state) throw new Error('nothing was prepared')
  return state
}

/** The successor, on a disk of its own. */
const successor = (world: World): StateDeps => world.deps({ copiesDir: join(world.folder, 'successor') })

/** Stores that count what is asked of them, and can't be written. */
function readOnly(stores: Stores) {
  const asked: string[] = []
  const watched = <T extends object>(store: T, reads: readonly string[]): T =>
    new Proxy(store, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name)
        if (typeof member !== 'function') return member
        return (...args: unknown[]): unknown => {
          asked.push(String(name))
          if (!reads.includes(String(name))) throw new Error(`${String(name)} is no read`)
          return Reflect.apply(member, target, args)
        }
      },
    })
  return {
    asked,
    stores: {
      ...stores,
      sessions: watched(stores.sessions, ['get']),
      snapshots: watched(stores.snapshots, ['list']),
      journal: watched(stores.journal, ['head', 'read']),
      blobs: watched(stores.blobs, ['read']),
      keys: watched(stores.keys, ['unwrap']),
    },
  }
}

describe('a prepared state', () => {
  test('leaves only the tail to be replayed when the session is claimed', async () => {
    await using world = await openWorld()
    const owner = await owned(world)
    const ahead = await prepared(world)
    await write(owner, { c: 'newer', d: 'D' })
    const { asked, stores } = readOnly(world.stores)
    const state = await SessionState.open(
      { ...successor(world), stores: { ...stores, journal: world.stores.journal } },
      await world.session(),
      KEY,
      { epoch: 2 },
      ahead,
    )
    expect(contentOf(state.records)).toEqual(contentOf(owner.records))
    expect(state.rebuilt).toMatchObject({ from: 'prepared', complete: true, tail: 2, entriesReplayed: 4 })
    // Neither an object nor a key was asked for again.
    expect(asked.toSorted()).toEqual(['get', 'list'])
  })

  test('is made by reading alone, and touches no disk', async () => {
    await using world = await openWorld()
    await owned(world)
    const { stores } = readOnly(world.stores)
    const untouched = new Proxy(world.deps().workingCopies, {
      get: (_, name) => {
        throw new Error(`working copies were asked to ${String(name)}`)
      },
    })
    expect(await prepared(world, { ...world.deps({ stores }), workingCopies: untouched })).toMatchObject({
      last: { epoch: 1, seq: 4 },
    })
  })

  test('fills the disk of the successor when it is used', async () => {
    await using world = await openWorld()
    const owner = await owned(world)
    const ahead = await prepared(world)
    const deps = successor(world)
    await SessionState.open(deps, await world.session(), KEY, { epoch: 2 }, ahead)
    await deps.workingCopies.settle()
    expect(await readdir(join(world.folder, 'successor'))).toHaveLength(2)
    const again = await SessionState.open(deps, await world.session(), KEY, { epoch: 3 })
    expect(again.rebuilt).toMatchObject({ from: 'local', complete: true })
    expect(contentOf(again.records)).toEqual(contentOf(owner.records))
  })

  const meanwhile: Record<string, (owner: SessionState, world: World) => Promise<unknown>> = {
    'a snapshot': (owner) => write(owner, { d: 'D' }).then(() => owner.snapshot('demand')),
    'two snapshots, which truncate the journal': async (owner) => {
      for (const name of ['d', 'e']) {
        await write(owner, { [name]: name })
        await owner.snapshot('demand')
      }
    },
    'a restore': (owner) => {
      const older = new RecordMap()
      older.set('a', bytes('older'))
      return owner.replaceBy(older, 'restore')
    },
    'a rotation of the key': async (owner, world) => {
      await write(owner, { c: 'newer' })
      await owner.rotate(await world.session())
      await write(owner, { d: 'under the new key' })
    },
  }
  test.for(Object.entries(meanwhile))('is thrown away after %s', async ([, happen]) => {
    await using world = await openWorld()
    const owner = await owned(world)
    const ahead = await prepared(world)
    await happen(owner, world)
    const state = await SessionState.open(successor(world), await world.session(), KEY, { epoch: 2 }, ahead)
    expect(contentOf(state.records)).toEqual(contentOf(owner.records))
    expect(state.rebuilt).toMatchObject({ from: 'snapshot', complete: true, troubles: [] })
  })

  test('goes on under a key that is newer than it is', async () => {
    await using world = await openWorld()
    const owner = await owned(world)
    const ahead = await prepared(world)
    await owner.rotate(await world.session())
    await write(owner, { d: 'under the new key' })
    const state = await SessionState.open(successor(world), await world.session(), KEY, { epoch: 2 }, ahead)
    expect(contentOf(state.records)).toEqual(contentOf(owner.records))
    expect(state.rebuilt).toMatchObject({ from: 'prepared', complete: true, tail: 1 })
    expect(state.ring.ids).toHaveLength(2)
  })

  test('is followed by a reset as by any entry', async () => {
    await using world = await openWorld()
    const owner = await owned(world)
    const ahead = await prepared(world)
    await owner.reset([['new', bytes('identity')]])
    const state = await SessionState.open(successor(world), await world.session(), KEY, { epoch: 2 }, ahead)
    expect(contentOf(state.records)).toEqual({ new: 'identity' })
    expect(state.rebuilt).toMatchObject({ from: 'prepared', complete: true })
  })

  test('of another journal is thrown away: the session was deleted and began anew', async () => {
    await using world = await openWorld()
    await owned(world)
    const ahead = await prepared(world)
    await world.stores.journal.truncate(KEY, 99)
    for (const { id, object } of await world.stores.snapshots.list(KEY)) {
      await world.stores.blobs.remove(object)
      await world.stores.snapshots.remove(KEY, id)
    }
    const other = await world.open(2)
    await write(other, { x: 'X', y: 'Y', z: 'Z', u: 'U' })
    const state = await SessionState.open(successor(world), await world.session(), KEY, { epoch: 3 }, ahead)
    expect(contentOf(state.records)).toEqual({ x: 'X', y: 'Y', z: 'Z', u: 'U' })
    expect(state.rebuilt.from).toBe('empty')
  })

  test('is not made of what is damaged, and nothing is quarantined for it', async () => {
    await using world = await openWorld()
    const owner = await owned(world)
    await world.stores.blobs.remove(owner.lastSnapshot?.object ?? '')
    await expect(prepareState(world.deps(), KEY)).rejects.toMatchObject({ code: 'blob_missing' })
    const [snapshot] = await world.stores.snapshots.list(KEY)
    expect(snapshot?.quarantined).toBeUndefined()
  })

  test('is not made of a session that nobody has run, and no key is made for it', async () => {
    await using world = await openWorld()
    expect(await prepareState(world.deps(), KEY)).toBeUndefined()
    expect((await world.session()).dataKeys).toEqual([])
  })
})
