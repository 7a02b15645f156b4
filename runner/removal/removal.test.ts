import { expect, test } from 'vitest'
import { nameOfKey, tenantTrail, type SessionKey, type TenantId } from '#shared/ids.ts'
import { auditEvent, feedItem, job, message } from '#test/contract/samples.ts'
import { credsRecord } from '../state/testing.ts'
import { removalWorld } from './removal.fixture.ts'

const ACME = 'acme' as TenantId
const DAY_MS = 86_400_000
const trailOf = async ({ stores }: Awaited<ReturnType<typeof removalWorld>>) =>
  (await stores.events.list(tenantTrail(ACME), { limit: 9 })).items

/** Records of every kind, as control and a runner leave them. */
async function fill({ stores }: Awaited<ReturnType<typeof removalWorld>>, key: SessionKey): Promise<void> {
  await stores.outbox.enqueue(key, message(1))
  await stores.feed.add(key, [feedItem(1)], 1)
  await stores.jobs.create(key, job(1, { state: 'done', finishedAt: 1 }))
  await stores.events.append(key, auditEvent(1))
  for (const kind of ['imports', 'exports', 'snapshots'])
    await stores.blobs.create(`${kind}/${key.replace('~', '/')}/lost`, [Buffer.from('x')])
}

test('F2: a deleted session is unlinked, one labelled backup is kept, and all else of its life is gone', async () => {
  await using world = await removalWorld()
  const key = await world.pair('shop', 'l1')
  const jid = (await world.stores.sessions.get(key))?.status?.jid
  await fill(world, key)
  const other = await world.pair('other', 'l1')
  const removal = await world.removed(key)
  expect(removal).toMatchObject({
    phase: 'kept',
    unlinkResult: { device: 'unlinked' },
    session: { dataKeys: [] },
  })
  expect(world.loggedOut).toEqual([key])
  expect(world.asked).toEqual([])
  const { items } = await world.stores.backups.list({ tenant: ACME, limit: 9 })
  expect(items).toMatchObject([{ id: removal?.backup, origin: key, label: 'deleted', jid }])
  expect(await world.stores.blobs.list('backups/')).toEqual([items[0]?.snapshot.object])
  const told = world.stored().filter((text) => text.includes('shop'))
  expect(new Set(told.map((text) => text.split(' ')[0]))).toEqual(new Set(['backups', 'events', 'removals']))
  expect(told).toHaveLength(3)
  expect(world.disk.copies.has(key)).toBe(false)
  expect((await world.stores.sessions.get(other))?.status?.phase).toBe('connected')
})

test('F2: a device is unlinked by a connection of its own when none is open, also in the middle of the login after a scan', async () => {
  await using world = await removalWorld()
  const key = await world.create('shop', 'l1')
  await world.until(async () => world.lines.some((line) => line.message === 'connection closed'))
  await world.remove(key)
  await world.until(async () => (await world.stores.removals.get(key))?.phase === 'kept')
  expect([...world.loggedOut, ...world.asked]).toEqual([key])
})

test('F2: a device that WhatsApp can not be asked about is tried three times, and is told to be still linked', async () => {
  await using world = await removalWorld()
  const key = await world.pair('shop', 'l1')
  await world.stop(key)
  world.answers.push({ ended: 'no_answer' }, { ended: 'no_answer' }, { ended: 'no_answer' })
  const removal = await world.removed(key)
  expect(world.asked).toEqual([key, key, key])
  expect(removal).toMatchObject({ phase: 'still_linked', unlinkResult: { device: 'still_linked' } })
  expect(removal?.unlinkResult?.why).toMatch(/3 tries.*Linked devices/)
  expect(removal?.backup).toBeDefined()
})

test('F2: a device that was logged in elsewhere under another name is left alone', async () => {
  await using world = await removalWorld()
  const [key, other] = [await world.pair('shop', 'l1'), await world.pair('other', 'l1')]
  const shared = (await world.stores.sessions.get(key))?.status?.jid ?? ''
  await world.stop(other)
  const stored = world.db.sessions.get(nameOfKey(other))
  if (!stored?.session.status) throw new Error('it has a status')
  stored.session = { ...stored.session, status: { ...stored.session.status, jid: shared } }
  await world.clock.advance(121_000)
  const removal = await world.removed(key)
  expect([...world.loggedOut, ...world.asked]).toEqual([])
  expect(removal).toMatchObject({ phase: 'still_linked' })
})

test('a session that nobody ever paired leaves nothing to keep or to unlink', async () => {
  await using world = await removalWorld()
  world.phones.answer = false
  const key = await world.create('shop', 'l1')
  await world.until(async () => (await world.stores.sessions.get(key))?.status?.phase === 'pairing')
  const removal = await world.removed(key)
  expect(removal).toMatchObject({ phase: 'kept', unlinkResult: { device: 'never_linked' } })
  expect(removal?.backup).toBeUndefined()
  expect(world.asked).toEqual([])
  const claims = world.lines.filter((line) => line.message === 'session claimed')
  expect(claims).toHaveLength(1)
})

test('F2: credentials that can not be opened are told to be still linked, and what is stored of them is kept', async () => {
  await using world = await removalWorld()
  const key = await world.pair('shop', 'l1')
  const { stores, db } = world
  await stores.jobs.create(key, job(1))
  await world.until(async () => (await stores.jobs.get(key, 'job-1'))?.state === 'done')
  await stores.sessions.changeWant(key, (want) => ({ ...want, state: 'stopped' }), { nonce: 'n', nowMs: 1 })
  await world.until(async () => (await stores.owners.get(key))?.runnerId === undefined)
  const stored = db.sessions.get(nameOfKey(key))
  if (!stored) throw new Error('it is stored')
  const [dataKey] = stored.session.dataKeys
  stored.session = {
    ...stored.session,
    dataKeys: dataKey ? [{ ...dataKey, wrapped: credsRecord() }] : [],
  }
  const removal = await world.removed(key)
  expect(removal).toMatchObject({ phase: 'still_linked', backup: expect.any(String) })
  expect(removal?.unlinkResult?.why).toContain('wrong_key')
})

test('F2: a purge leaves one audit line of each life of the name, and nothing else in any store', async () => {
  await using world = await removalWorld()
  const kept = await world.pair('shop', 'l1')
  await world.removed(kept)
  const open = await world.pair('shop', 'l2')
  world.phones.answer = false
  await world.remove(open)
  world.phones.answer = true
  const key = await world.pair('shop', 'l3')
  await fill(world, key)
  await world.removed(key, true)
  await world.until(async () => world.db.removals.size === 0)
  const told = world.stored().filter((text) => text.includes('shop'))
  expect(told.every((text) => text.startsWith(`events ${tenantTrail(ACME)}`))).toBe(true)
  const trail = (await trailOf(world)).map(({ detail }) => String(detail?.['removal']))
  expect(trail.toSorted((a, b) => a.localeCompare(b))).toEqual(['shop~l1', 'shop~l2', 'shop~l3'])
  const [line] = await trailOf(world)
  expect(line).toMatchObject({
    kind: 'removal',
    to: 'purged',
    by: 'control:k',
    detail: { device: 'unlinked' },
  })
  expect(await world.stores.blobs.list('')).toEqual([])
})

test('F2: after 30 days nothing is left of a deleted session but the audit line', async () => {
  await using world = await removalWorld()
  const key = await world.pair('shop', 'l1')
  await world.removed(key)
  world.clock.turnWall(29 * DAY_MS)
  await world.clock.advance(120_000)
  expect(await world.stores.removals.get(key)).toBeDefined()
  expect(await world.stores.backups.list({ tenant: ACME, limit: 9 })).toMatchObject({
    items: [{ origin: key }],
  })
  world.clock.turnWall(DAY_MS)
  await world.clock.advance(120_000)
  expect(world.stored().filter((text) => text.includes('shop') && !text.startsWith('events'))).toEqual([])
  expect(await world.stores.blobs.list('')).toEqual([])
})

test('F2: a backup that was discarded is gone within minutes', async () => {
  await using world = await removalWorld()
  const removal = await world.removed(await world.pair('shop', 'l1'))
  await world.stores.backups.discard(ACME, removal?.backup ?? '')
  await world.clock.advance(120_000)
  expect(world.db.backups.size).toBe(0)
  expect(await world.stores.blobs.list('')).toEqual([])
})

test('F2: what a tenant that is gone has left is worked off without a word in the trail of a later one', async () => {
  await using world = await removalWorld()
  const key = await world.pair('shop', 'l1')
  world.answers.push({ ended: 'no_answer' })
  world.phones.answer = false
  await world.stores.sessions.remove(key, { purge: true, by: 'control:k', nowMs: 1 })
  await world.stores.removals.change(key, (removal) => ({ ...removal, tenantGone: true }))
  await world.stores.events.sweep({ key })
  const later = await world.stores.sessions.create({
    tenant: ACME,
    id: 'shop' as never,
    life: 'l2' as never,
    want: { state: 'stopped', metadata: {} },
    createdAt: 1,
  })
  await world.until(async () => world.db.removals.size === 0)
  expect(world.stored().filter((text) => text.includes('l1'))).toEqual([])
  expect(await trailOf(world)).toEqual([])
  expect(await world.stores.sessions.find(nameOfKey(key))).toMatchObject({ life: later.life })
})

test('F1: what came late for a life that is over, an owner or a job, is cleared away', async () => {
  await using world = await removalWorld()
  const key = await world.pair('shop', 'l1')
  await world.removed(key, true)
  const runnerId = 'late.runner' as never
  await world.stores.owners.claim({ key, runnerId, expectEpoch: 0, nonce: 'n', nowMs: 1 })
  await world.stores.jobs.create(key, job(1))
  await world.clock.advance(3_700_000)
  expect(world.stored().filter((text) => text.includes('l1') && !text.startsWith('events'))).toEqual([])
})

test('F1: an earlier life of a name touches nothing of the later one, and both are worked off beside each other', async () => {
  await using world = await removalWorld()
  const first = await world.pair('shop', 'l1')
  await world.remove(first)
  const second = await world.pair('shop', 'l2')
  await world.until(async () => (await world.stores.removals.get(first))?.phase === 'kept')
  const { status } = (await world.stores.sessions.get(second)) ?? {}
  expect(status).toMatchObject({ phase: 'connected', epoch: 1 })
  expect(await world.stores.journal.head(first)).toBeUndefined()
  expect(await world.stores.journal.head(second)).toMatchObject({ epoch: 1 })
  await world.restart()
  await world.until(async () => (await world.stores.sessions.get(second))?.status?.epoch === 2)
  await world.until(async () => (await world.stores.sessions.get(second))?.status?.phase === 'connected')
})

test('F1: a removal is never seen open without its owner, so nobody claims what is being ended', async () => {
  await using world = await removalWorld()
  const { removals } = world.stores
  const owners: unknown[] = []
  const before = { ...removals }
  removals.remove = async (key) => {
    owners.push(world.db.owners.get(key)?.runnerId)
    return before.remove(key)
  }
  removals.change = async (key, decide) => {
    owners.push(world.db.owners.get(key)?.runnerId)
    return before.change(key, decide)
  }
  const [kept, purged] = [await world.pair('kept', 'l1'), await world.pair('purged', 'l1')]
  await world.removed(kept)
  await world.removed(purged, true)
  expect(owners.length).toBeGreaterThan(3)
  expect(owners.every((owner) => owner !== undefined)).toBe(true)
  await world.until(async () => world.db.owners.size === 0)
})

test('F1: a session whose life another runner ended is let go, and leaves no owner', async () => {
  await using world = await removalWorld()
  const key = await world.pair('shop', 'l1')
  await world.remove(key)
  // Before this runner has looked: the removal is worked off by another one.
  world.db.removals.delete(key)
  await world.clock.advance(130_000)
  expect(world.db.owners.size).toBe(0)
  expect(
    world.stored().filter((text) => text.includes('shop') && /^(?:owners|sessions|removals)/.test(text)),
  ).toEqual([])
})
