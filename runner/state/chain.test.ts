import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { macOf } from '#shared/envelope.ts'
import { CodedError } from '#shared/errors.ts'
import type { Witness } from '#shared/session.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import { prepareState } from './prepared.ts'
import { RecordMap } from './record-map.ts'
import { fresh, journalOf, unchainedEntry, unchainedSnapshot } from './rehydrate.fixture.ts'
import { followsOf } from './sealed-entry.ts'
import { dyingStores } from './session-state.fixture.ts'
import { SessionState } from './session-state.ts'
import { bytes, contentOf, KEY, openWorld, write, type World } from './testing.ts'

const entriesOf = (world: World): Promise<readonly JournalEntry[]> => world.stores.journal.read(KEY, 1)

const upTo = (entries: readonly JournalEntry[], seq: number): readonly JournalEntry[] =>
  entries.filter((entry) => entry.seq <= seq)

/** The state as another journal gives it. */
const over = (world: World, entries: readonly JournalEntry[], witnesses: readonly Witness[] = []) =>
  fresh(world, { stores: journalOf(entries), witnesses })

/** A session of one epoch: barrier 1, a 2, a snapshot at 2, b 3, c 4, d 5; and what its owner says at the release. */
async function released(world: World) {
  const state = await world.open(1)
  await write(state, { a: 'A' })
  const snapshot = await state.snapshot('demand')
  await write(state, { b: 'B', c: 'C', d: 'D' })
  const { witness } = state
  if (!witness) throw new Error('an owner that wrote knows the head')
  return { state, snapshot, witness, entries: await entriesOf(world), whole: contentOf(state.records) }
}

/** A second history of the same seqs and epochs: the store went back to `seq`, and the session was claimed from there. */
async function forked(world: World, entries: readonly JournalEntry[], seq: number, epoch: number) {
  const stores = { ...world.stores, ...journalOf(upTo(entries, seq)) }
  const fork = await SessionState.open(world.deps({ stores }), await world.session(), KEY, { epoch })
  await write(fork, { x: 'X', y: 'Y' })
  return { fork, entries: await stores.journal.read(KEY, 1) }
}

describe('the journal is a chain', () => {
  test('each entry follows the one before, over restarts, resets and other states in the place of the whole', async () => {
    await using world = await openWorld()
    const { state } = await released(world)
    await state.reset([['new', bytes('N')]])
    const other = new RecordMap()
    other.set('other', bytes('O'))
    await state.replaceBy(other, 'import')
    await write(await world.open(2), { after: 'A' })
    const entries = await entriesOf(world)
    expect(entries.length).toBeGreaterThan(6)
    const macs = entries.map(({ sealed }) => macOf(sealed))
    const [, ...follow] = entries.map(followsOf)
    expect(follow).toEqual(macs.slice(0, -1))
  })

  test('the first entry follows none, and the witness of an owner is the one that is durable last', async () => {
    await using world = await openWorld()
    const { entries, witness, snapshot } = await released(world)
    expect(entries.map(followsOf).indexOf(undefined)).toBe(0)
    expect(entries.map(followsOf).lastIndexOf(undefined)).toBe(0)
    const last = entries.at(-1)
    expect(witness).toEqual({ seq: 5, mac: macOf(last?.sealed ?? new Uint8Array(16)) })
    expect(snapshot.mac).toBe(macOf(entries[1]?.sealed ?? new Uint8Array(16)))
  })

  test('many writes, a barrier and a snapshot at once make one chain', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    const writes = Array.from({ length: 40 }, (_, at) => state.journal.set([[`k${at}`, bytes(`${at}`)]]))
    await Promise.all([...writes, state.journal.append('barrier'), state.snapshot('demand')])
    expect(await over(world, await entriesOf(world))).toMatchObject({ complete: true, troubles: [] })
  })

  test('entries of two histories do not mix, though seqs, epochs and keys are the same', async () => {
    await using world = await openWorld()
    const { entries } = await released(world)
    const second = await world.open(2)
    await write(second, { e: 'E', f: 'F' })
    const whole = await entriesOf(world)
    const { entries: other } = await forked(world, entries, 4, 2)
    // Barrier and changes of epoch 2 stand at 6, 7 and 8 here, and at 5, 6 and 7 there: 6 and 7 are of both.
    const mixed = [...upTo(whole, 6), ...other.filter(({ seq }) => seq === 7)]
    const rebuilt = await over(world, mixed)
    expect(rebuilt.complete).toBe(false)
    expect(rebuilt.troubles.join(' ')).toMatch(/entry 7 follows another one than 6/)
    expect(contentOf(rebuilt.records)).not.toHaveProperty('y')
  })

  test('an older entry in the place of a newer one of its seq ends the state before it', async () => {
    await using world = await openWorld()
    const { entries } = await released(world)
    const { entries: other } = await forked(world, upTo(entries, 3), 3, 1)
    for (const seq of [4, 5]) {
      const swapped = entries.map((entry) => (entry.seq === seq ? (other[seq - 1] ?? entry) : entry))
      const rebuilt = await over(world, swapped, [{ seq: 5, mac: macOf(entries[4]?.sealed ?? bytes('x')) }])
      expect(rebuilt.complete).toBe(false)
      expect(rebuilt.troubles.length).toBeGreaterThan(0)
    }
  })

  test.for(['reset', 'jump'] as const)(
    'a %s is good though the entry before it is lost, and the chain goes on from it',
    async (kind) => {
      await using world = await openWorld()
      const { state } = await released(world)
      const other = new RecordMap()
      other.set('new', bytes('N'))
      if (kind === 'reset') await state.reset([['new', bytes('N')]])
      else await state.replaceBy(other, 'restore')
      await write(state, { more: 'M' })
      const entries = (await entriesOf(world)).filter(({ seq }) => seq !== 5)
      const older = { ...world.stores.snapshots, list: async () => [] }
      const rebuilt = await fresh(world, { stores: { ...journalOf(entries), snapshots: older } })
      expect(contentOf(rebuilt.records)).toEqual({ new: 'N', more: 'M' })
      expect(rebuilt.complete).toBe(true)
    },
  )

  test('the object of another jump is not taken for that of this one', async () => {
    await using world = await openWorld()
    const { state, entries } = await released(world)
    const stores = { ...world.stores, ...journalOf(entries) }
    const twin = await SessionState.open(world.deps({ stores }), await world.session(), KEY, { epoch: 1 })
    // Both are at seq 7 of epoch 1.
    await state.journal.append('barrier')
    const [mine, theirs] = [new RecordMap(), new RecordMap()]
    mine.set('mine', bytes('M'))
    theirs.set('theirs', bytes('T'))
    const own = await state.replaceBy(mine, 'restore')
    const foreign = await twin.replaceBy(theirs, 'restore')
    expect(foreign.seq).toBe(own.seq)
    const blobs = {
      ...world.stores.blobs,
      read: (name: string) => world.stores.blobs.read(name === own.object ? foreign.object : name),
    }
    const none = { ...world.stores.snapshots, list: async () => [] }
    const rebuilt = await fresh(world, { stores: { blobs, snapshots: none } })
    expect(rebuilt.complete).toBe(false)
    expect(contentOf(rebuilt.records)).not.toHaveProperty('theirs')
  })
})

describe('entries of the time before the chain', () => {
  /** What 341e3f4 left: barrier 1, a 2, b 3, and a snapshot at 2. */
  async function old(world: World) {
    const ring = await world.ring()
    const entry = (seq: number, changes: Record<string, string>, kind: 'change' | 'barrier' = 'change') =>
      unchainedEntry(
        ring.current,
        { key: KEY, epoch: 1, seq },
        {
          kind,
          changes: Object.entries(changes).map(([name, value]) => [name, bytes(value)] as const),
        },
      )
    const entries = [entry(1, {}, 'barrier'), entry(2, { a: 'A' }), entry(3, { b: 'B' })]
    for (const one of entries) await world.stores.journal.append(KEY, one)
    const records = new RecordMap()
    records.set('a', bytes('A'))
    const parts = unchainedSnapshot(ring.current, { key: KEY, epoch: 1, seq: 2 }, records)
    const object = 'snapshots/acme/s_1/1-2-abcdefghijklmnop'
    await world.stores.blobs.create(object, parts)
    await world.stores.snapshots.record(KEY, {
      id: '1-2-abcdefghijklmnop',
      object,
      seq: 2,
      epoch: 1,
      bytes: 1,
      sha256: '',
      dataKeyId: ring.current.id,
      reason: 'demand',
      clean: false,
      at: 1,
    })
    return { entries, entry }
  }

  test('are gone on with, and the chain begins with the next entry', async () => {
    await using world = await openWorld()
    await old(world)
    const state = await world.open(2)
    expect(state.rebuilt).toMatchObject({ from: 'snapshot', complete: true, troubles: [] })
    await write(state, { c: 'C' })
    expect(contentOf((await fresh(world)).records)).toEqual({ a: 'A', b: 'B', c: 'C' })
    const older = { ...world.stores.snapshots, list: async () => [] }
    const whole = await fresh(world, { dir: join(world.folder, 'empty'), stores: { snapshots: older } })
    expect(whole).toMatchObject({ from: 'empty', complete: true })
    expect(contentOf(whole.records)).toEqual({ a: 'A', b: 'B', c: 'C' })
    expect((await entriesOf(world)).map(followsOf)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      expect.any(String),
    ])
  })

  test('are not taken any more once the chain has begun', async () => {
    await using world = await openWorld()
    const { entry } = await old(world)
    await write(await world.open(2), { c: 'C' })
    await world.stores.journal.append(KEY, entry(6, { forged: 'F' }))
    const rebuilt = await fresh(world)
    expect(rebuilt.complete).toBe(false)
    expect(contentOf(rebuilt.records)).toEqual({ a: 'A', b: 'B', c: 'C' })
    expect(rebuilt.troubles.join(' ')).toMatch(/entry 6 is of the time before the chain/)
  })

  test('are not taken above a snapshot of the chain, whether that can be opened or not', async () => {
    await using world = await openWorld()
    const { entries, entry } = await old(world)
    const state = await world.open(2)
    const { object } = await state.snapshot('demand')
    await world.stores.blobs.remove(object)
    // The journal went back to the time before the chain, and an owner of that time went on.
    const journal = journalOf([...entries, entry(4, { c: 'C' }), entry(5, { d: 'D' })])
    const rebuilt = await fresh(world, { stores: journal })
    expect(rebuilt.complete).toBe(false)
    expect(contentOf(rebuilt.records)).toEqual({ a: 'A', b: 'B', c: 'C' })
  })

  test('are as complete as they were where an old Mooring removed all that its snapshots hold', async () => {
    await using world = await openWorld()
    await old(world)
    await world.stores.journal.truncate(KEY, 3)
    expect(await fresh(world)).toMatchObject({ from: 'snapshot', complete: true, headSeq: 2, troubles: [] })
  })
})

describe('a tail that is missing', () => {
  test('of any length is seen after a release, and nothing older passes for the whole', async () => {
    await using world = await openWorld()
    const { entries, witness, whole } = await released(world)
    expect(contentOf((await over(world, entries, [witness])).records)).toEqual(whole)
    expect(await over(world, entries, [witness])).toMatchObject({ complete: true, troubles: [] })
    for (let seq = 0; seq < witness.seq; seq++) {
      const rebuilt = await over(world, upTo(entries, seq), [witness])
      expect(rebuilt).toMatchObject({ complete: false, headSeq: witness.seq })
      expect(rebuilt.troubles.join(' ')).toMatch(/newest entries are missing: the journal ends at/)
    }
  })

  test('is seen whichever entries went: any of them, after a release', async () => {
    await using world = await openWorld()
    const { entries, witness, snapshot, whole } = await released(world)
    const needed = entries.filter(({ seq }) => seq > snapshot.seq)
    let runs = 0
    const some = fc.subarray(needed, { minLength: 1 })
    await fc.assert(
      fc.asyncProperty(some, fc.boolean(), async (gone, isCopied) => {
        const left = entries.filter((entry) => !gone.includes(entry))
        const dir = isCopied ? world.copiesDir : join(world.folder, `${runs++}`)
        const rebuilt = await fresh(world, { dir, stores: journalOf(left), witnesses: [witness] })
        expect(rebuilt.headSeq).toBe(witness.seq)
        // What is on this disk may fill a hole, and then nothing is missing.
        if (isCopied && rebuilt.complete) expect(contentOf(rebuilt.records)).toEqual(whole)
        else
          expect(rebuilt).toMatchObject({
            complete: false,
            troubles: [expect.any(String), ...rebuilt.troubles.slice(1)],
          })
      }),
      { numRuns: 40 },
    )
  })

  test('is seen where the journal went back and was gone on with from there', async () => {
    await using world = await openWorld()
    const { entries, witness } = await released(world)
    const { entries: other, fork } = await forked(world, entries, 3, 1)
    expect(fork.witness?.seq).toBeGreaterThan(witness.seq)
    const rebuilt = await over(world, other, [witness])
    expect(rebuilt.complete).toBe(false)
    expect(rebuilt.troubles.join(' ')).toMatch(/entry 5 is another one/)
  })

  test('is seen by the record of a snapshot alone', async () => {
    await using world = await openWorld()
    const { state, entries } = await released(world)
    await state.snapshot('demand')
    const rebuilt = await over(world, upTo(entries, 4))
    expect(rebuilt).toMatchObject({ complete: false, headSeq: 5 })
  })

  test('is seen by an object that no record tells of, since the records went back too', async () => {
    await using world = await openWorld()
    const { state, entries, snapshot } = await released(world)
    await state.snapshot('demand')
    const snapshots = { ...world.stores.snapshots, list: async () => [snapshot] }
    const rebuilt = await fresh(world, { stores: { ...journalOf(upTo(entries, 4)), snapshots } })
    expect(rebuilt).toMatchObject({ complete: false, headSeq: 5 })
    expect(rebuilt.troubles.join(' ')).toMatch(/there is a snapshot of 5/)
  })

  test('can’t be seen in objects that can’t be listed, and that keeps nobody from starting', async () => {
    await using world = await openWorld()
    const { whole } = await released(world)
    const away = new CodedError('store_unavailable', 'list')
    const blobs = { ...world.stores.blobs, list: () => Promise.reject(away) }
    const rebuilt = await fresh(world, { stores: { blobs } })
    expect(rebuilt.complete).toBe(true)
    expect(contentOf(rebuilt.records)).toEqual(whole)
  })

  test('is seen by a state that was prepared ahead as well', async () => {
    await using world = await openWorld()
    const { witness, entries } = await released(world)
    const stores = { ...world.stores, ...journalOf(upTo(entries, 4)) }
    const deps = world.deps({ stores })
    const ahead = await prepareState(deps, KEY)
    expect(ahead).toBeDefined()
    const session = await world.session()
    const state = await SessionState.open(deps, session, KEY, { epoch: 2, witness }, ahead)
    expect(state.rebuilt).toMatchObject({ from: 'prepared', complete: false })
  })

  test('is fenced, bridged by a snapshot, and complete again from there', async () => {
    await using world = await openWorld()
    const { witness, entries } = await released(world)
    const stores = { ...world.stores, ...journalOf(upTo(entries, 3)) }
    const deps = world.deps({ stores })
    const state = await SessionState.open(deps, await world.session(), KEY, { epoch: 2, witness })
    expect(state.rebuilt.complete).toBe(false)
    expect(contentOf(state.records)).toEqual({ a: 'A', b: 'B' })
    // No seq that was ever seen is taken again.
    const written = (await stores.journal.read(KEY, 4)).map(({ seq }) => seq)
    expect(written).toEqual([6, 7])
    await write(state, { e: 'E' })
    const again = await fresh(world, { stores, witnesses: [witness] })
    expect(again).toMatchObject({ complete: true, troubles: [] })
    expect(contentOf(again.records)).toEqual({ a: 'A', b: 'B', e: 'E' })
  })

  test('is told by the status, after a crash', async () => {
    await using world = await openWorld()
    const { witness, entries } = await released(world)
    const status = {
      phase: 'connected' as const,
      observedGeneration: 1,
      epoch: 1,
      attempts: 0,
      witness,
      uptime: { connectedMs: 0, wantedMs: 0, connects: 0, disconnects: 0 },
    }
    await world.stores.sessions.reportStatus(KEY, status, 1)
    const stores = { ...world.stores, ...journalOf(upTo(entries, 4)) }
    const state = await SessionState.open(world.deps({ stores }), await world.session(), KEY, { epoch: 2 })
    expect(state.rebuilt).toMatchObject({ complete: false })
  })

  test('is nothing that a crash in the middle of a restore leaves behind', async () => {
    await using world = await openWorld()
    const { whole } = await released(world)
    const other = new RecordMap()
    other.set('z', bytes('Z'))
    // Its first write is the barrier, the second the object of the jump, and the third would be its entry.
    const { stores } = dyingStores(world, 3, 'before')
    const dying = await SessionState.open(world.deps({ stores }), await world.session(), KEY, { epoch: 2 })
    await expect(dying.replaceBy(other, 'restore')).rejects.toThrow('dead')
    expect(await world.stores.blobs.list('snapshots/acme/s_1/')).toHaveLength(2)
    const rebuilt = await fresh(world, { witnesses: dying.witness ? [dying.witness] : [] })
    expect(rebuilt).toMatchObject({ complete: true, troubles: [] })
    expect(contentOf(rebuilt.records)).toEqual(whole)
  })
})
