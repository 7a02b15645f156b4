import { appendFile, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Stores } from '#shared/store/stores.ts'
import { failing, flipped, fresh, withJournal } from './rehydrate.fixture.ts'
import { bytes, contentOf, KEY, openWorld, silent, write, type World } from './testing.ts'
import { fileWorkingCopies } from './working-copy.ts'

describe('rehydration from a surviving disk', () => {
  const local = (world: World, stores: Partial<Stores> = {}) => fresh(world, { dir: world.copiesDir, stores })
  const path = async (world: World, kind: 'base' | 'tail') =>
    join(world.copiesDir, (await readdir(world.copiesDir)).find((name) => name.endsWith(kind)) ?? 'none')
  const noSnapshots = (world: World): Partial<Stores> => ({
    blobs: {
      ...world.stores.blobs,
      read: () => ({ [Symbol.asyncIterator]: () => failing(new Error('read')) }),
    },
  })

  async function onDisk(world: World) {
    const deps = world.deps()
    const state = await world.open(1, deps)
    await write(state, { a: 'A' })
    await state.snapshot('demand')
    await write(state, { b: 'B', c: 'C' })
    await deps.workingCopies.settle()
    return { state, whole: contentOf(state.records) }
  }

  test('A3 takes the working copy and reads no object', async () => {
    await using world = await openWorld()
    const { whole } = await onDisk(world)
    const rebuilt = await local(world, noSnapshots(world))
    expect(contentOf(rebuilt.records)).toEqual(whole)
    expect(rebuilt).toMatchObject({ from: 'local', complete: true, troubles: [] })
  })

  test('replays only the tail that is missing, and keeps it on the disk for the next time', async () => {
    await using world = await openWorld()
    await onDisk(world)
    // A runner elsewhere went on meanwhile.
    const elsewhere = await world.open(2)
    await write(elsewhere, { d: 'D' })
    for (let times = 0; times < 2; times++) {
      const rebuilt = await local(world, noSnapshots(world))
      expect(contentOf(rebuilt.records)).toEqual(contentOf(elsewhere.records))
      expect(rebuilt).toMatchObject({ from: 'local', complete: true })
    }
    const tail = await fileWorkingCopies(world.copiesDir, silent).load(KEY)
    expect(tail?.epoch).toBe(2)
  })

  test('A3 fills an empty disk from the store before a socket opens', async () => {
    await using world = await openWorld()
    const { state, whole } = await onDisk(world)
    const dir = join(world.folder, 'new-host')
    expect((await fresh(world, { dir })).from).toBe('snapshot')
    const again = await fresh(world, { dir, stores: noSnapshots(world) })
    expect(again).toMatchObject({ from: 'local', complete: true })
    expect(contentOf(again.records)).toEqual(whole)
    expect(state.broken).toBeUndefined()
  })

  test('a copy that the journal does not know is thrown away', async () => {
    await using world = await openWorld()
    const { whole } = await onDisk(world)
    const foreign = withJournal(world, (entry) => (entry.seq === 4 ? { ...entry, nonce: 'another' } : entry))
    // The nonce is no part of what is sealed, so the journal itself still opens.
    const rebuilt = await local(world, foreign)
    expect(contentOf(rebuilt.records)).toEqual(whole)
    expect(rebuilt).toMatchObject({ from: 'snapshot', complete: true })
  })

  test('a copy older than the truncated journal is thrown away', async () => {
    await using world = await openWorld()
    await onDisk(world)
    const elsewhere = await world.open(2)
    for (const name of ['d', 'e']) {
      await write(elsewhere, { [name]: name })
      await elsewhere.snapshot('demand')
    }
    const rebuilt = await local(world)
    expect(contentOf(rebuilt.records)).toEqual(contentOf(elsewhere.records))
    expect(rebuilt).toMatchObject({ from: 'snapshot', complete: true, troubles: [] })
  })

  test.for(['flipped', 'cut off', 'removed', 'another’s'] as const)(
    'B4 a base that is %s costs a download and nothing else',
    async (how) => {
      await using world = await openWorld()
      const { whole } = await onDisk(world)
      const file = await path(world, 'base')
      const good = await readFile(file)
      if (how === 'flipped') await writeFile(file, flipped(good))
      if (how === 'cut off') await writeFile(file, good.subarray(0, -20))
      if (how === 'another’s') await writeFile(file, Buffer.concat([good.subarray(0, 16), bytes('MOOR')]))
      if (how === 'removed') await rm(file)
      const rebuilt = await local(world)
      expect(contentOf(rebuilt.records)).toEqual(whole)
      expect(rebuilt).toMatchObject({ from: 'snapshot', complete: true })
      // And the disk is good again.
      expect((await local(world, noSnapshots(world))).from).toBe('local')
    },
  )

  test('a torn tail is taken as far as it is whole', async () => {
    await using world = await openWorld()
    const { whole } = await onDisk(world)
    await appendFile(await path(world, 'tail'), Buffer.from([0, 0, 1, 0, 1, 2, 3]))
    const rebuilt = await local(world)
    expect(contentOf(rebuilt.records)).toEqual(whole)
    expect(rebuilt).toMatchObject({ from: 'local', complete: true })
  })

  test('whatever happened to the disk, what is rehydrated is the state of the store', async () => {
    await using world = await openWorld()
    const { whole } = await onDisk(world)
    await local(world)
    const accident = fc.tuple(
      fc.constantFrom('base' as const, 'tail' as const),
      fc.nat(),
      fc.nat({ max: 30 }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(accident, { minLength: 1, maxLength: 3 }), async (accidents) => {
        for (const [kind, at, length] of accidents) {
          const file = await path(world, kind)
          const good = await readFile(file)
          const from = at % (good.length + 1)
          await writeFile(file, Buffer.concat([good.subarray(0, from), good.subarray(from + length)]))
        }
        const rebuilt = await local(world)
        expect(contentOf(rebuilt.records)).toEqual(whole)
        expect(rebuilt.complete).toBe(true)
      }),
      { numRuns: 30 },
    )
  })

  test('B4 a disk that can’t be written to costs a download and nothing else', async () => {
    await using world = await openWorld()
    const { whole } = await onDisk(world)
    const dir = join(world.folder, 'a-file')
    await writeFile(dir, 'in the place of the folder')
    const rebuilt = await fresh(world, { dir })
    expect(contentOf(rebuilt.records)).toEqual(whole)
    expect(rebuilt).toMatchObject({ complete: true, troubles: [] })
  })
})
