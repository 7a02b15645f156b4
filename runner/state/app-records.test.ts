import { describe, expect, test } from 'vitest'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import { appRecords, carryApp, INBOX_PREFIX, moveOldApp, POSITION_KEY, withoutApp } from './app-records.ts'
import { exportBundle, openBundle } from './bundle.ts'
import { encodeValue } from './record.ts'
import { RecordMap } from './record-map.ts'
import { loadSnapshot } from './rehydrate.ts'
import { dyingStores } from './session-state.fixture.ts'
import type { SessionState } from './session-state.ts'
import { bytes, contentOf, KEY, openWorld, silent, write, type World } from './testing.ts'

const ONE = `${INBOX_PREFIX}000000000001`
const TWO = `${INBOX_PREFIX}000000000002`

const recordsOf = (content: Record<string, string>): RecordMap => {
  const records = new RecordMap()
  for (const [key, value] of Object.entries(content)) records.set(key, bytes(value))
  return records
}

/** A state with an identity and a message that the application does not have yet. */
async function owing(world: World): Promise<SessionState> {
  const state = await world.open(1)
  await write(state, { 'identity-key/me': 'C', 'session/a': 'S', [ONE]: 'first' })
  return state
}

const loaded = async (world: World, record: SnapshotRecord): Promise<Record<string, string>> =>
  contentOf(
    await loadSnapshot(
      { ...world.deps(), stores: world.stores, log: silent } as never,
      KEY,
      await world.ring(),
      record,
    ),
  )

describe('the records of the application', () => {
  test('stay when the identity is reset, on this and on every later start', async () => {
    await using world = await openWorld()
    const state = await owing(world)
    await state.reset([['identity-key/me', bytes('new')]])
    const expected = { 'identity-key/me': 'new', [ONE]: 'first' }
    expect(contentOf(state.records)).toEqual(expected)
    await write(state, { [TWO]: 'second' })
    expect(contentOf((await world.open(2)).records)).toEqual({ ...expected, [TWO]: 'second' })
  })

  test('stay when another state takes the place of this one, which brings none of its own', async () => {
    await using world = await openWorld()
    const state = await owing(world)
    const other = {
      'identity-key/me': 'restored',
      [TWO]: 'of a backup',
      'inbox/000000000007': 'of an old backup',
    }
    await state.replaceBy(recordsOf({ ...other, 'inbox-mark/': 'x' }), 'restored')
    const expected = { 'identity-key/me': 'restored', [ONE]: 'first' }
    expect(contentOf(state.records)).toEqual(expected)
    expect(contentOf((await world.open(2)).records)).toEqual(expected)
  })

  test('are in a snapshot that a start builds on, and in none that is kept under a label', async () => {
    await using world = await openWorld()
    const state = await owing(world)
    const ordinary = await state.snapshot('size')
    const labelled = await state.snapshot('logged_out', { label: 'logged_out' })
    expect(labelled.archive).toBe(true)
    expect(await loaded(world, ordinary)).toEqual({
      'identity-key/me': 'C',
      'session/a': 'S',
      [ONE]: 'first',
    })
    expect(await loaded(world, labelled)).toEqual({ 'identity-key/me': 'C', 'session/a': 'S' })
  })

  test('are in no bundle', async () => {
    await using world = await openWorld()
    const state = await owing(world)
    const cost = { logN: 1, r: 8, p: 1 }
    const parts = await exportBundle({ records: withoutApp(state.records), meta: {}, passphrase: 'p', cost })
    const { records } = await openBundle(Buffer.concat(parts), 'p')
    expect(contentOf(records)).toEqual({ 'identity-key/me': 'C', 'session/a': 'S' })
  })

  test.for(['before', 'after'] as const)(
    'survive an archive and a reset that the store dies %s, at any write',
    async (how) => {
      const seen = new Set<string>()
      for (let nth = 1; ; nth++) {
        await using world = await openWorld()
        await owing(world)
        const dying = dyingStores(world, nth, how)
        const given = world.deps({ stores: dying.stores, copiesDir: `${world.folder}/x` })
        const work = async (): Promise<void> => {
          const state = await world.open(2, given)
          await state.snapshot('logged_out', { label: 'logged_out' })
          await state.reset([])
          await write(state, { 'identity-key/me': 'new' })
        }
        await work().catch(() => undefined)
        const { rebuilt, records } = await world.open(3)
        expect(rebuilt).toMatchObject({ complete: true, troubles: [] })
        expect(contentOf(records)).toHaveProperty(ONE, 'first')
        seen.add(contentOf(records)['identity-key/me'] ?? 'none')
        if (!dying.died()) break
      }
      expect(seen).toEqual(new Set(['C', 'none', 'new']))
    },
  )

  test('survive a replaced state that the store dies in, at any write', async () => {
    for (let nth = 1; ; nth++) {
      await using world = await openWorld()
      await owing(world)
      const dying = dyingStores(world, nth, 'after')
      const given = world.deps({ stores: dying.stores, copiesDir: `${world.folder}/x` })
      await world
        .open(2, given)
        .then((state) => state.replaceBy(recordsOf({ 'identity-key/me': 'restored' }), 'restored'))
        .catch(() => undefined)
      expect(contentOf((await world.open(3)).records)).toHaveProperty(ONE, 'first')
      if (!dying.died()) break
    }
  })

  test('are there again after an archive though nothing else was ever taken, and on a surviving disk', async () => {
    await using world = await openWorld()
    const given = world.deps()
    const state = await world.open(1, given)
    await write(state, { 'identity-key/me': 'C', [ONE]: 'first' })
    await state.snapshot('demand', { label: 'mine' })
    await write(state, { [TWO]: 'second' })
    await given.workingCopies.settle()
    const expected = { 'identity-key/me': 'C', [ONE]: 'first', [TWO]: 'second' }
    const starts = [world.deps(), world.deps({ copiesDir: `${world.folder}/none` })]
    for (const [at, deps] of starts.entries()) {
      const next = await world.open(at + 2, deps)
      expect(next.rebuilt).toMatchObject({ complete: true, troubles: [] })
      expect(contentOf(next.records)).toEqual(expected)
    }
  })

  test('an archive does not count among the snapshots that the journal is cut below', async () => {
    await using world = await openWorld()
    const state = await owing(world)
    const first = await state.snapshot('size')
    for (const label of ['a', 'b', 'c']) {
      await write(state, { [`session/${label}`]: label })
      await state.snapshot('demand', { label })
    }
    const [oldest] = await world.stores.journal.read(KEY, 1)
    expect(oldest?.seq).toBeLessThanOrEqual(first.seq + 1)
    await world.stores.blobs.remove(first.object)
    expect((await world.open(2)).rebuilt.complete).toBe(true)
  })

  test('an archive is what a start builds on where nothing else is left', async () => {
    await using world = await openWorld()
    const state = await owing(world)
    const base = await state.snapshot('size')
    await write(state, { 'session/b': 'T' })
    const second = await state.snapshot('size')
    await state.snapshot('demand', { label: 'mine' })
    for (const { object } of [base, second]) await world.stores.blobs.remove(object)
    const { records, rebuilt } = await world.open(2)
    expect(rebuilt).toMatchObject({ complete: true, from: 'snapshot' })
    expect(contentOf(records)).toEqual({ 'identity-key/me': 'C', 'session/a': 'S', 'session/b': 'T' })
  })
})

describe('what versions before 2026-11-28 stored', () => {
  const old = (through: string): Record<string, string> => ({
    'identity-key/me': 'C',
    'inbox/000000000001': 'one',
    'inbox/000000000002': 'two',
    'inbox-mark/': Buffer.from(encodeValue(through)).toString('latin1'),
  })
  const position = (through: string): string => Buffer.from(encodeValue(through)).toString('latin1')

  test('is moved with the first entry, keeps its numbers, and is read before and after', async () => {
    await using world = await openWorld()
    await write(await world.open(1), old('000000000001'))
    const moved = {
      'identity-key/me': 'C',
      [ONE]: 'one',
      [TWO]: 'two',
      [POSITION_KEY]: position('000000000001'),
    }
    const state = await world.open(2)
    expect(contentOf(state.records)).toEqual(moved)
    // A crash before the first entry: the next start does the same again.
    const again = await world.open(3)
    expect(contentOf(again.records)).toEqual(moved)
    await write(again, { 'session/a': 'S' })
    const after = await world.open(4)
    expect(moveOldApp(after.rebuilt.records)).toEqual([])
    expect(contentOf(after.records)).toEqual({ ...moved, 'session/a': 'S' })
  })

  test('is moved before a reset, which keeps it', async () => {
    await using world = await openWorld()
    await write(await world.open(1), old('000000000001'))
    await (await world.open(2)).reset([])
    expect(contentOf((await world.open(3)).records)).toEqual({
      [ONE]: 'one',
      [TWO]: 'two',
      [POSITION_KEY]: position('000000000001'),
    })
  })

  test('comes behind what is there already, without what was delivered', () => {
    const records = recordsOf({ ...old('000000000001'), [TWO]: 'own' })
    for (const [key, value] of moveOldApp(records)) records.set(key, value)
    expect(contentOf(records)).toEqual({
      'identity-key/me': 'C',
      [TWO]: 'own',
      [`${INBOX_PREFIX}000000000003`]: 'two',
    })
  })
})

test('carried over from one state to another they replace what is there', () => {
  const into = recordsOf({ 'a/1': 'A', [TWO]: 'other', 'inbox/1': 'old' })
  carryApp(recordsOf({ 'b/1': 'B', [ONE]: 'first' }), into)
  expect(contentOf(into)).toEqual({ 'a/1': 'A', [ONE]: 'first' })
  expect(appRecords(into)).toEqual([[ONE, bytes('first')]])
})
