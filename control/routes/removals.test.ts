import { expect, test } from 'vitest'
import { tenantTrail } from '#shared/ids.ts'
import type { TenantId } from '#shared/ids.ts'
import type { Removal } from '#shared/store/removal-store.ts'
import { auditEvent, backup } from '#test/contract/samples.ts'
import { controlWorld } from '../control.fixture.ts'
import type { ControlWorld } from '../control.fixture.ts'

const ACME = 'acme' as TenantId
const MAIN = '/v1/sessions/main?tenant=acme'

/** A world with a session that a runner has had. */
async function withSession(): Promise<ControlWorld> {
  const world = await controlWorld()
  await create(world)
  return world
}

async function create(world: ControlWorld, id = 'main', tenant = 'acme') {
  const { body } = await world.ask('POST', `/v1/sessions?tenant=${tenant}`, { body: { id } })
  if (tenant === 'acme') await world.report(id, { phase: 'connected', authenticatedAt: 1 })
  return body
}

const kept = (removal: Removal): Removal => ({
  ...removal,
  phase: 'kept',
  backup: 'b1',
  endedAt: 2,
  until: removal.at + 1_000,
  session: { ...removal.session, dataKeys: [] },
})

test('F2: a deletion frees the name at once, and says where to see how it goes', async () => {
  await using world = await withSession()
  const first = world.key('main')
  const { status, body, headers } = await world.ask('DELETE', MAIN)
  expect(status).toBe(202)
  expect(body).toMatchObject({ session: 'main', phase: 'unlinking', purge: false, backup: null, until: null })
  expect(headers.get('location')).toBe(`/v1/removals/${body.id}`)
  expect((await world.ask('GET', `/v1/removals/${body.id}?tenant=acme`)).body).toEqual(body)
  expect((await world.ask('GET', MAIN)).status).toBe(404)
  const second = await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
  expect(second.status).toBe(201)
  expect(world.key('main')).not.toBe(first)
  expect(second.body.life).not.toBe(body.life)
})

test('F2: lists, counts, limits and reports never see what is being removed', async () => {
  await using world = await controlWorld()
  await world.ask('DELETE', '/v1/tenants/acme')
  await world.ask('POST', '/v1/tenants', { body: { id: 'acme', limits: { sessions: 1 } } })
  await create(world)
  await world.ask('DELETE', MAIN)
  expect((await world.ask('GET', '/v1/sessions?tenant=acme')).body.items).toEqual([])
  expect((await world.ask('GET', '/v1/report?tenant=acme')).body.total).toBe(0)
  expect((await world.ask('GET', '/metrics')).body).not.toMatch(/mooring_sessions\{phase="\w+"\} [1-9]/)
  expect((await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'other' } })).status).toBe(201)
})

test('a deletion is refused under another generation, and finds nothing the second time', async () => {
  await using world = await withSession()
  expect((await world.ask('DELETE', MAIN, { headers: { 'if-match': '"9"' } })).body.code).toBe('stale')
  expect((await world.ask('DELETE', MAIN, { headers: { 'if-match': '"1"' } })).status).toBe(202)
  expect((await world.ask('DELETE', MAIN)).status).toBe(404)
})

test('F2: a purge reaches what is still being removed, and what was kept, with or without a session', async () => {
  await using world = await withSession()
  const open = world.key('main')
  await world.ask('DELETE', MAIN)
  await create(world)
  const earlier = world.key('main')
  await world.ask('DELETE', MAIN)
  await world.stores.removals.change(earlier, kept)
  await create(world, 'main-2')
  const { status, headers } = await world.ask('DELETE', `${MAIN}&purge=true`)
  expect(status).toBe(202)
  expect(headers.get('location')).toContain('/v1/removals/main~')
  for (const key of [open, earlier])
    expect(await world.stores.removals.get(key)).toMatchObject({ phase: 'unlinking', purge: true })
  expect((await world.stores.removals.get(earlier))?.until).toBeUndefined()
  expect((await world.ask('GET', '/v1/sessions/main-2?tenant=acme')).status).toBe(200)
})

test('an untouched session is gone at once, with what hangs on it', async () => {
  await using world = await controlWorld()
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
  const key = world.key('main')
  await world.ask('POST', '/v1/sessions/main/messages?tenant=acme', {
    body: { to: '4915100000001', text: 'x' },
  })
  expect((await world.ask('DELETE', `${MAIN}&purge=true`)).status).toBe(204)
  expect(await world.stores.removals.get(key)).toBeUndefined()
  expect((await world.stores.outbox.list(key, { limit: 9 })).items).toEqual([])
  expect((await world.stores.events.list(key, { limit: 9 })).items).toEqual([])
  expect(await world.stores.sessions.get(key)).toBeUndefined()
})

test('shows how a removal ended, and lists them for their tenant alone', async () => {
  await using world = await withSession()
  const key = world.key('main')
  const { body } = await world.ask('DELETE', MAIN)
  await world.stores.removals.change(key, (removal) => ({
    ...kept(removal),
    phase: 'still_linked',
    unlinkResult: { device: 'still_linked', why: 'no answer' },
  }))
  const { body: page } = await world.ask('GET', '/v1/removals?tenant=acme')
  expect(page.items).toMatchObject([
    { id: body.id, phase: 'still_linked', reason: 'no answer', backup: 'b1' },
  ])
  expect(JSON.stringify(page)).not.toContain('wrapped')
  expect((await world.ask('GET', '/v1/removals?tenant=rival')).body.items).toEqual([])
  expect((await world.ask('GET', `/v1/removals/${body.id}?tenant=rival`)).status).toBe(404)
  expect((await world.ask('GET', '/v1/removals/main~x~y?tenant=acme')).status).toBe(404)
})

test('F2: of what was purged the audit line answers', async () => {
  await using world = await controlWorld()
  const detail = { removal: 'main~l1', deletedAt: 5, device: 'unlinked' }
  await world.stores.events.append(
    tenantTrail(ACME),
    auditEvent(1, { kind: 'removal', to: 'purged', by: 'control:k', detail }),
  )
  const { body } = await world.ask('GET', '/v1/removals/main~l1?tenant=acme')
  expect(body).toMatchObject({
    id: 'main~l1',
    session: 'main',
    life: 'l1',
    phase: 'purged',
    by: 'control:k',
    at: '1970-01-01T00:00:00.005Z',
  })
})

test('F2: backups are listed, restored under a free name as a job, and destroyed', async () => {
  await using world = await withSession()
  const expiresAt = world.clock.nowMs() + 1_000
  await world.stores.backups.create(backup('b1', { tenant: ACME, expiresAt, jid: '49151:1@s.whatsapp.net' }))
  const list = async () => (await world.ask('GET', '/v1/backups?tenant=acme')).body.items
  expect(await list()).toMatchObject([{ id: 'b1', session: 's', life: 'l1', jid: '49151:1@s.whatsapp.net' }])
  expect(JSON.stringify(await list())).not.toContain('wrapped')
  const restore = (as: string, tenant = 'acme') =>
    world.ask('POST', `/v1/backups/b1/restore?tenant=${tenant}`, { body: { as } })
  expect((await restore('main')).body.code).toBe('exists')
  expect((await restore('no name')).body).toMatchObject({ code: 'invalid_field', field: 'as' })
  expect((await restore('again', 'rival')).status).toBe(404)
  const { status, body } = await restore('again')
  expect(status).toBe(202)
  expect(body.id).toBe('again')
  expect(await world.stores.jobs.open(world.key('again'))).toMatchObject([
    { id: body.job, kind: 'restore', args: { backup: 'b1' } },
  ])
  expect((await world.ask('DELETE', '/v1/backups/b1?tenant=acme')).status).toBe(204)
  expect(await list()).toEqual([])
  expect((await world.ask('DELETE', '/v1/backups/b1?tenant=acme')).status).toBe(404)
  expect((await restore('third')).status).toBe(404)
})

test('F2: a repeat of a restore under the same Idempotency-Key makes no second session or job', async () => {
  await using world = await controlWorld()
  const expiresAt = world.clock.nowMs() + 1_000
  await world.stores.backups.create(backup('b1', { tenant: ACME, expiresAt }))
  const restore = () =>
    world.ask('POST', '/v1/backups/b1/restore?tenant=acme', {
      body: { as: 'again' },
      headers: { 'idempotency-key': 'once' },
    })
  const [first, second] = [await restore(), await restore()]
  expect(second.status).toBe(202)
  expect(second.body).toMatchObject({ life: first.body.life, job: first.body.job })
})

test('F2: a tenant with removals alone can be deleted, and a later one of its name sees nothing of it', async () => {
  await using world = await withSession()
  const [first, second] = [world.key('main'), await deletedAgain(world)]
  await world.stores.backups.create(backup('b1', { tenant: ACME, expiresAt: world.clock.nowMs() + 1_000 }))
  await world.stores.events.append(tenantTrail(ACME), auditEvent(1, { kind: 'removal' }))
  const old = await world.keyOf('acme', 'read')
  expect((await world.ask('DELETE', '/v1/tenants/acme')).status).toBe(204)
  await world.clock.advance(1)
  await world.ask('POST', '/v1/tenants', { body: { id: 'acme' } })
  for (const path of ['/v1/removals', '/v1/backups', '/v1/sessions', '/v1/keys'])
    expect((await world.ask('GET', `${path}?tenant=acme`)).body.items).toEqual([])
  const removal = (await world.stores.removals.get(first))?.session
  expect((await world.ask('GET', `/v1/removals/main~${removal?.life}?tenant=acme`)).status).toBe(404)
  expect((await world.ask('POST', '/v1/backups/b1/restore?tenant=acme', { body: { as: 'x' } })).status).toBe(
    404,
  )
  expect(await world.stores.events.since({ tenant: ACME, afterId: '', limit: 9 })).toEqual([])
  expect((await world.ask('GET', '/v1/sessions', { key: old })).status).toBe(401)
  for (const key of [first, second])
    expect(await world.stores.removals.get(key)).toMatchObject({
      phase: 'unlinking',
      purge: true,
      tenantGone: true,
    })
  expect((await world.stores.backups.get(ACME, 'b1'))?.dataKeys).toEqual([])
})

/** Deletes, creates anew and deletes that too, which is kept. */
async function deletedAgain(world: ControlWorld) {
  await world.ask('DELETE', MAIN)
  await create(world)
  const key = world.key('main')
  await world.ask('DELETE', MAIN)
  await world.stores.removals.change(key, kept)
  return key
}
