import { describe, expect, test } from 'vitest'
import { seal } from '#shared/envelope.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { entryAad } from './aad.ts'
import { RecordMap } from './record-map.ts'
import { failing, flipped, fresh, withJournal } from './rehydrate.fixture.ts'
import { bytes, contentOf, KEY, openWorld, write, type World } from './testing.ts'

/** A state of epoch 1 with two snapshots and entries after each: seqs 1 barrier, 2 a, 3 b, 4 c, 5 d. */
async function lived(world: World) {
  const state = await world.open(1, world.deps())
  await write(state, { a: 'A'.repeat(99) })
  const older = await state.snapshot('demand')
  await write(state, { b: 'B', a: `${'A'.repeat(99)}more` })
  const newest = await state.snapshot('demand')
  await write(state, { c: 'C', d: 'D' })
  return { state, older, newest, whole: contentOf(state.records) }
}

/** An object as the store holds it, with one bit of its middle flipped. */
function withDamaged(world: World, ...objects: string[]): Pick<Stores, 'blobs'> {
  const { blobs } = world.stores
  return {
    blobs: {
      ...blobs,
      async *read(name) {
        const whole = Buffer.concat(await Array.fromAsync(blobs.read(name)))
        if (objects.includes(name)) whole[whole.length >> 1] = (whole[whole.length >> 1] ?? 0) ^ 1
        yield whole
      },
    },
  }
}

describe('rehydration', () => {
  test('A1 gives the state exactly as it was, from the newest snapshot and the tail of the journal', async () => {
    await using world = await openWorld()
    const { whole } = await lived(world)
    const rebuilt = await fresh(world)
    expect(contentOf(rebuilt.records)).toEqual(whole)
    expect(rebuilt).toMatchObject({
      complete: true,
      from: 'snapshot',
      headEpoch: 1,
      entriesReplayed: 2,
      troubles: [],
    })
  })

  test('of a session that was never written is complete and empty', async () => {
    await using world = await openWorld()
    expect(await fresh(world)).toMatchObject({ complete: true, from: 'nothing', headSeq: 0, headEpoch: 0 })
  })

  test('B4 a corrupted newest snapshot is quarantined, told, and bridged by the one before', async () => {
    await using world = await openWorld()
    const { whole, newest, older } = await lived(world)
    const rebuilt = await fresh(world, { stores: withDamaged(world, newest.object) })
    expect(contentOf(rebuilt.records)).toEqual(whole)
    expect(rebuilt).toMatchObject({ complete: true, from: 'snapshot', entriesReplayed: 4 })
    expect(rebuilt.troubles).toEqual([expect.stringContaining(newest.id)])
    const [first, second] = await world.stores.snapshots.list(KEY)
    expect(first).toMatchObject({ id: newest.id, quarantined: expect.stringContaining('seal') })
    expect(second).toMatchObject({ id: older.id })
    expect(second?.quarantined).toBeUndefined()
    // From now on it is not even looked at.
    expect((await fresh(world)).troubles).toEqual([])
  })

  test('a journal that a newer version wrote is refused, and nothing is quarantined or rewound', async () => {
    await using world = await openWorld()
    const { state } = await lived(world)
    const { seq } = state.journal
    const later = Buffer.from([99, 1, 2, 3])
    const sealed = seal((await world.ring()).current, later, entryAad(KEY, 1, seq + 1))
    await world.stores.journal.append(KEY, { seq: seq + 1, epoch: 1, nonce: 'later', sealed })
    await expect(fresh(world)).rejects.toMatchObject({ code: 'newer_format' })
    const snapshots = await world.stores.snapshots.list(KEY)
    expect(snapshots.map(({ quarantined }) => quarantined)).toEqual([undefined, undefined])
  })

  test('B4 a missing object is quarantined and bridged alike', async () => {
    await using world = await openWorld()
    const { whole, newest } = await lived(world)
    await world.stores.blobs.remove(newest.object)
    const rebuilt = await fresh(world)
    expect(contentOf(rebuilt.records)).toEqual(whole)
    expect(rebuilt.complete).toBe(true)
    expect(rebuilt.snapshots[0]?.quarantined).toBeDefined()
  })

  test('B4 a snapshot that a newer owner let go since it was listed is not called damaged', async () => {
    await using world = await openWorld()
    const { newest } = await lived(world)
    const { snapshots, blobs } = world.stores
    const quarantined: string[] = []
    const stale = {
      ...snapshots,
      list: async (key: typeof KEY) => {
        const listed = await snapshots.list(key)
        await blobs.remove(newest.object)
        await snapshots.remove(key, newest.id)
        return listed
      },
      quarantine: async (_key: typeof KEY, id: string) => void quarantined.push(id),
    }
    await fresh(world, { stores: { snapshots: stale } })
    expect(quarantined).toEqual([])
  })

  test('a store that can’t be asked is no damage: nothing is quarantined', async () => {
    await using world = await openWorld()
    const { newest } = await lived(world)
    const away = Object.assign(new Error('away'), { code: 'ECONNRESET' })
    const blobs = { ...world.stores.blobs, read: () => ({ [Symbol.asyncIterator]: () => failing(away) }) }
    await expect(fresh(world, { stores: { blobs } })).rejects.toBe(away)
    expect((await world.stores.snapshots.list(KEY))[0]).toMatchObject({ id: newest.id })
    expect((await world.stores.snapshots.list(KEY))[0]?.quarantined).toBeUndefined()
  })

  test('a gap in the journal ends the state before it, and is said', async () => {
    await using world = await openWorld()
    await lived(world)
    const gap = withJournal(world, (entry) => (entry.seq === 5 ? undefined : entry))
    const rebuilt = await fresh(world, { stores: gap })
    expect(rebuilt).toMatchObject({ complete: false, headSeq: 6, from: 'snapshot' })
    expect(Object.keys(contentOf(rebuilt.records))).toEqual(['a', 'b'])
    expect(rebuilt.troubles[0]).toMatch(/gap: 5/)
  })

  test('a journal that ends below its head is a gap too', async () => {
    await using world = await openWorld()
    await lived(world)
    const cut = withJournal(world, (entry) => (entry.seq > 5 ? undefined : entry))
    const rebuilt = await fresh(world, { stores: cut })
    expect(rebuilt).toMatchObject({ complete: false, headSeq: 6 })
    expect(Object.keys(contentOf(rebuilt.records))).toEqual(['a', 'b', 'c'])
  })

  test.for([
    ['a flipped bit', (entry: JournalEntry) => ({ ...entry, sealed: flipped(entry.sealed) })],
    ['another epoch', (entry: JournalEntry) => ({ ...entry, epoch: entry.epoch + 1 })],
    ['no bytes', (entry: JournalEntry) => ({ ...entry, sealed: new Uint8Array() })],
  ] as const)('B4 an entry with %s ends the state before it', async ([, damage]) => {
    await using world = await openWorld()
    await lived(world)
    const stores = withJournal(world, (entry) => (entry.seq === 6 ? damage(entry) : entry))
    const rebuilt = await fresh(world, { stores })
    expect(rebuilt.complete).toBe(false)
    expect(Object.keys(contentOf(rebuilt.records))).toEqual(['a', 'b', 'c'])
    expect(rebuilt.troubles[0]).toMatch(/entry 6/)
  })

  test('an entry that is moved to another seq is refused', async () => {
    await using world = await openWorld()
    await lived(world)
    const entries = await world.stores.journal.read(KEY, 1)
    const swapped = withJournal(world, (entry) => {
      const other = entries.find(({ seq }) => seq === 11 - entry.seq)
      return entry.seq >= 5 && other ? { ...other, seq: entry.seq } : entry
    })
    const rebuilt = await fresh(world, { stores: swapped })
    expect(rebuilt.complete).toBe(false)
    expect(Object.keys(contentOf(rebuilt.records))).toEqual(['a', 'b'])
  })

  test('damage before a reset harms nothing: the reset stands for itself', async () => {
    await using world = await openWorld()
    const { state } = await lived(world)
    await state.reset([['creds/', bytes('new identity')]])
    await write(state, { e: 'E' })
    const stores = withJournal(world, (entry) => (entry.seq === 5 ? undefined : entry))
    const rebuilt = await fresh(world, { stores })
    expect(contentOf(rebuilt.records)).toEqual({ 'creds/': 'new identity', e: 'E' })
    expect(rebuilt.complete).toBe(true)
  })

  test('a jump is followed to the snapshot that it names, from whatever base', async () => {
    await using world = await openWorld()
    const { state, newest, older } = await lived(world)
    const other = new RecordMap()
    other.set('z', bytes('Z'))
    const restored = await state.replaceBy(other, 'restored')
    await write(state, { y: 'Y' })
    await world.stores.snapshots.quarantine(KEY, restored.id, 'by mistake')
    await world.stores.snapshots.quarantine(KEY, newest.id, 'by mistake')
    const rebuilt = await fresh(world)
    expect(contentOf(rebuilt.records)).toEqual({ y: 'Y', z: 'Z' })
    expect(rebuilt).toMatchObject({ complete: true, from: 'snapshot' })
    expect(older.seq).toBeLessThan(restored.seq)
  })

  test('a jump whose snapshot is lost, or that names none, ends the state before it', async () => {
    await using world = await openWorld()
    const { state, whole } = await lived(world)
    const restored = await state.replaceBy(new RecordMap(), 'restored')
    await world.stores.blobs.remove(restored.object)
    const rebuilt = await fresh(world)
    expect(rebuilt.complete).toBe(false)
    expect(contentOf(rebuilt.records)).toEqual(whole)
    expect(rebuilt.troubles.join(' ')).toMatch(/can't be loaded/)

    await using bare = await openWorld()
    const second = await lived(bare)
    await second.state.journal.append('jump')
    const short = await fresh(bare)
    expect(short).toMatchObject({ complete: false, headSeq: 7 })
    expect(contentOf(short.records)).toEqual(second.whole)
  })

  test('B4 when nothing opens, it says so and claims nothing', async () => {
    await using world = await openWorld()
    const { newest, older } = await lived(world)
    const damaged = withDamaged(world, newest.object, older.object)
    const rebuilt = await fresh(world, { stores: damaged })
    expect(rebuilt).toMatchObject({ complete: false, from: 'empty', headSeq: 6, headEpoch: 1 })
    expect(rebuilt.records.isEmpty).toBe(true)
    expect(rebuilt.troubles).toHaveLength(3)
    // The objects are quarantined by now, and it is still no new session.
    expect(await fresh(world)).toMatchObject({ complete: false, headSeq: 6 })
  })

  test('a late write of an older epoch below the snapshots changes nothing', async () => {
    await using world = await openWorld()
    const { whole, older } = await lived(world)
    await world.stores.journal.append(KEY, { seq: 1, epoch: 0, nonce: 'late', sealed: bytes('x') })
    await world.stores.journal.append(KEY, { seq: older.seq, epoch: 0, nonce: 'late', sealed: bytes('x') })
    const rebuilt = await fresh(world)
    expect(contentOf(rebuilt.records)).toEqual(whole)
    expect(rebuilt).toMatchObject({ complete: true, troubles: [] })
  })
})
