import { describe, expect, test } from 'vitest'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import { KEEP, retired, SNAPSHOT_AFTER } from './snapshots.ts'
import { KEY, openWorld, silent, turn, write, type World } from './testing.ts'
import { rehydrate } from './rehydrate.ts'
import { fileWorkingCopies } from './working-copy.ts'

const DAY_MS = 24 * 3_600_000
const NOW = 1_790_000_000_000

const record = (seq: number, more: Partial<SnapshotRecord> = {}): SnapshotRecord => ({
  id: `s${seq}`,
  object: `snapshots/acme/s_1/s${seq}`,
  seq,
  epoch: 1,
  bytes: 1,
  sha256: '',
  dataKeyId: 'k',
  reason: 'count',
  clean: false,
  at: NOW,
  ...more,
})
const newestFirst = (...records: SnapshotRecord[]) => records.toSorted((a, b) => b.seq - a.seq)
const ids = (records: readonly SnapshotRecord[]) => records.map(({ id }) => id)

/** The stored state, as a runner on a new host would find it. */
const fresh = async (world: World) => {
  const workingCopies = fileWorkingCopies(`${world.folder}/none`, silent)
  const { stores } = world
  const rebuilt = await rehydrate({ stores, log: silent, workingCopies }, KEY, await world.ring(), [])
  await workingCopies.settle()
  return rebuilt
}

describe('retention', () => {
  test('D2 keeps the last five', () => {
    const list = newestFirst(...[1, 2, 3, 4, 5, 6, 7].map((seq) => record(seq)))
    expect(ids(retired(list, NOW))).toEqual(['s2', 's1'])
    expect(KEEP.newest).toBe(5)
  })

  test('D5 keeps a labelled one for thirty days, whatever came after it', () => {
    const old = record(1, { label: 'logout', at: NOW - 30 * DAY_MS })
    const list = newestFirst(old, ...[2, 3, 4, 5, 6, 7].map((seq) => record(seq)))
    expect(ids(retired(list, NOW))).toEqual(['s2'])
    expect(ids(retired(list, NOW + 1))).toEqual(['s2', 's1'])
  })

  test('a quarantined one does not count as a backup, and stays as evidence for thirty days', () => {
    const bad = record(9, { quarantined: 'damaged' })
    const list = newestFirst(bad, ...[1, 2, 3, 4, 5, 6].map((seq) => record(seq)))
    expect(ids(retired(list, NOW))).toEqual(['s1'])
    expect(ids(retired(list, NOW + 31 * DAY_MS))).toEqual(['s9', 's1'])
  })

  test('a labelled one that is old but among the last five stays', () => {
    const list = [record(1, { label: 'x', at: NOW - 90 * DAY_MS })]
    expect(retired(list, NOW)).toEqual([])
  })
})

describe('taking snapshots', () => {
  test('D2 leaves the last five objects and records, and nothing else', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    for (let at = 0; at < 8; at++) {
      await write(state, { 'session/1.0': `${at}` })
      await state.snapshot('demand', at === 0 ? { label: 'first' } : {})
    }
    const records = await world.stores.snapshots.list(KEY)
    expect(records).toHaveLength(6)
    expect(records.at(-1)).toMatchObject({ label: 'first', reason: 'demand', epoch: 1, clean: true })
    const objects = await world.stores.blobs.list('snapshots/')
    expect(objects.toSorted()).toEqual(records.map(({ object }) => object).toSorted())
  })

  test('truncates the journal only below the one before, so that each of the newest two reaches the head', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    const expected: Record<string, string> = {}
    const go = async (name: string) => {
      expected[name] = `value of ${name}`
      await write(state, { [name]: `value of ${name}` })
    }
    for (let at = 0; at < 4; at++) {
      await go(`session/${at}.0`)
      await state.snapshot('demand')
    }
    await go('session/last.0')
    const [newest, before] = await world.stores.snapshots.list(KEY)
    if (!newest || !before) throw new Error('two snapshots are there')
    const [first] = await world.stores.journal.read(KEY, 1)
    expect(first?.seq).toBe(before.seq + 1)

    await world.stores.blobs.remove(newest.object)
    const older = await fresh(world)
    expect(older).toMatchObject({ complete: true, from: 'snapshot', entriesReplayed: 2 })
    for (const [name, value] of Object.entries(expected))
      expect(older.records.get(name)?.toString()).toBe(value)
    expect(older.snapshots[0]).toMatchObject({ id: newest.id, quarantined: expect.any(String) })
  })

  test('two at one seq leave the entry that they stand at: no journal is shorter than its snapshots', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    await write(state, { a: 'A' })
    for (const reason of ['first', 'second', 'third']) await state.snapshot(reason)
    expect((await world.stores.journal.read(KEY, 1)).map(({ seq }) => seq)).toEqual([2])
    expect(await fresh(world)).toMatchObject({ complete: true, troubles: [], headSeq: 2 })
  })

  test('the newest one reaches the head when the one before is lost', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    for (const name of ['a', 'b', 'c']) {
      await write(state, { [name]: name })
      if (name !== 'c') await state.snapshot('demand')
    }
    const [, before] = await world.stores.snapshots.list(KEY)
    await world.stores.blobs.remove(before?.object ?? '')
    expect(await fresh(world)).toMatchObject({ complete: true, entriesReplayed: 1, troubles: [] })
  })

  test('goes on taking snapshots while another one is being taken: one at a time, in order', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    let running = 0
    let most = 0
    const create = world.stores.blobs.create.bind(world.stores.blobs)
    world.stores.blobs.create = async (...ask) => {
      most = Math.max(most, ++running)
      await turn()
      await create(...ask)
      running--
    }
    const reasons = ['size', 'count', 'demand']
    const taken = reasons.map(async (reason) => {
      await write(state, { [reason]: reason })
      return state.snapshot(reason)
    })
    const records = await Promise.all(taken)
    expect(most).toBe(1)
    expect(new Set(ids(records)).size).toBe(3)
  })

  test('is due by size, by count and by age, and not just after one was taken', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    expect(state.snapshotDue(Date.now())).toBeUndefined()
    for (let at = 0; at < 20; at++)
      await state.journal.set([[`random/${at}`, crypto.getRandomValues(new Uint8Array(60_000))]])
    expect(state.snapshotDue(Date.now())).toBe('size')
    await state.snapshot('size')
    expect(state.snapshotDue(Date.now())).toBeUndefined()
    await write(state, { a: '1', b: '2' })
    expect(state.snapshotDue(Date.now())).toBeUndefined()
    expect(state.snapshotDue(Date.now() + SNAPSHOT_AFTER.ageMs + 60_000)).toBe('age')
  })

  test('one that failed leaves nothing behind, and is still due', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    for (let at = 0; at < 20; at++)
      await state.journal.set([[`random/${at}`, crypto.getRandomValues(new Uint8Array(60_000))]])
    const create = world.stores.blobs.create.bind(world.stores.blobs)
    world.stores.blobs.create = () => Promise.reject(new Error('disk full'))
    await expect(state.snapshot('size')).rejects.toThrow('disk full')
    expect(state.snapshotDue(Date.now())).toBe('size')
    expect(await world.stores.snapshots.list(KEY)).toEqual([])
    world.stores.blobs.create = create
    await state.snapshot('size')
    expect((await fresh(world)).complete).toBe(true)
  })

  test('C7 stores nothing in plain', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    await write(state, { 'session/491701234567.0': 'a very secret ratchet' })
    const { object } = await state.snapshot('demand')
    const stored = Buffer.concat(await Array.fromAsync(world.stores.blobs.read(object)))
    expect(stored.includes('ratchet')).toBe(false)
    expect(stored.includes('491701234567')).toBe(false)
  })
})
