import { testBodies } from '#test/bodies.ts'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createControl } from '#control/http/app.ts'
import { sha256Hex } from '#control/http/key-text.ts'
import { createLog } from '#shared/log.ts'
import { systemClock, type Clock } from '#shared/clock.ts'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import { keyOf, parseSessionId, parseTenantId, sessionName } from '#shared/ids.ts'
import { systemRandom } from '#shared/random.ts'
import { silent, socketOf } from '#runner/runner.fixture.ts'
import { Runner } from '#runner/runner.ts'
import { WATCHDOG_TIMES } from '#runner/session/watchdog.ts'
import type { OpenSocket } from '#runner/whatsapp/socket.ts'
import { eventually } from '#test/contract/eventually.ts'

/**
 * A data directory as the first version (341e3f4) left it, after an orderly end: the tenant `acme` with the sessions `shop`
 * (paired, with messages, a labelled snapshot and an export), `limbo` (deleted, as that version deleted) and `never`; a key
 * file, and an API key. Made once, never again.
 */
const ARCHIVE = join(import.meta.dirname, 'data-341e3f4.tar.gz')
const API_KEY = 'moor_u5sy3bvr7x_wfrSwlBgjKv1fDAtwoxJUwb1AzVK6dl9G96362LLf62'
/** The operator's: taking back what a session was needs a scope that the first version did not have. */
const ADMIN_KEY = 'moor_admin_of_the_golden_tests'
const SHOP_JID = '4915100000001:1@s.whatsapp.net'
/** A moment after it was made: what it keeps for 30 days is kept. */
const MADE_AT = Date.parse('2026-11-27T23:46:20Z')

/** Every connection opens at once, and ends in order. */
const openAtOnce: OpenSocket = ({ events, state }) => {
  const { me } = state.storedCreds() as { me: { id: string } }
  queueMicrotask(() => events.open({ jid: me.id }))
  return socketOf({ handOver: async () => events.closed({ by: 'us', message: 'handed over' }) })
}

async function openCopy() {
  const folder = await mkdtemp(join(tmpdir(), 'mooring-golden-'))
  await promisify(execFile)('tar', ['-xzf', ARCHIVE, '-C', folder])
  const sinceMs = systemClock.monotonicMs()
  const clock: Clock = {
    ...systemClock,
    nowMs: () => Math.round(MADE_AT + systemClock.monotonicMs() - sinceMs),
  }
  const random = systemRandom
  const stores = await openEmbeddedStores({ dataDir: folder, clock, random })
  const app = createControl({
    bodies: testBodies(),
    stores,
    clock,
    random,
    log: createLog({ level: 'silent', pretty: false, service: 'golden', version: '0' }),
    transfer: { recipient: () => Promise.reject(new Error('nothing is imported')), exportTo: 'passphrase' },
    guard: { judge: () => Promise.reject(new Error('no address is named')) },
    adminKeySha256: sha256Hex(ADMIN_KEY),
    keyPepper: (await readFile(join(folder, 'key-pepper'), 'utf8')).trim(),
  })
  const unlinked: string[] = []
  const runner = new Runner({
    bodies: testBodies(),
    stores,
    clock,
    random,
    log: silent,
    openSocket: openAtOnce,
    unlinkDevice: async ({ key }) => {
      unlinked.push(key)
      return { ended: 'confirmed' }
    },
    settings: {
      name: 'golden',
      version: '0',
      workDir: join(folder, 'work'),
      lease: { renewEveryMs: 2_500, renewWithinMs: 6_500, leaseForMs: 10_000 },
      watchdog: WATCHDOG_TIMES,
      resyncEveryMs: 120_000,
      connectsPerSecond: 100,
      connectingMax: 100,
      capacity: 100,
      rebalancePerMinute: 0,
      reconcile: true,
    },
  })
  const ask = async (method: string, path: string, body?: object, key = API_KEY) => {
    const answer = await app.request(path, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) }
  }
  await runner.start()
  return {
    stores,
    ask,
    operate: (method: string, path: string, body?: object) =>
      ask(method, `${path}${path.includes('?') ? '&' : '?'}tenant=acme`, body, ADMIN_KEY),
    unlinked,
    key: async (id: string) => {
      const found = await stores.sessions.find(sessionName(parseTenantId('acme'), parseSessionId(id)))
      return found && keyOf(found)
    },
    inPhase: (id: string, phase: string) =>
      eventually(
        `${id} to be ${phase}`,
        async () => (await ask('GET', `/v1/sessions/${id}`)).body.status?.phase === phase,
      ),
    ended: (id: string) =>
      eventually('the removal to end', async () => {
        const { body } = await ask('GET', `/v1/removals/${id}`)
        return body.phase !== undefined && body.phase !== 'unlinking' && body
      }),
    async [Symbol.asyncDispose]() {
      await runner.stop()
      await stores.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

test('data of the first version goes on as it is: the session connects, with its messages, snapshots and jobs', async () => {
  await using world = await openCopy()
  await world.inPhase('shop', 'connected')
  expect(await world.key('shop')).toBe('acme~shop')
  const { body } = await world.ask('GET', '/v1/sessions/shop')
  expect(body).toMatchObject({ life: null, status: { jid: SHOP_JID } })
  const feed = await world.ask('GET', '/v1/sessions/shop/messages?direction=in')
  expect(feed.body.items.map(({ text }: { text: string }) => text)).toEqual(['golden: to the session'])
  const snapshots = (await world.ask('GET', '/v1/sessions/shop/snapshots')).body.items
  expect(snapshots.map(({ label }: { label: string }) => label)).toContain('golden')
  const again = await world.ask('POST', '/v1/sessions/shop/snapshots', { label: 'today' })
  await eventually('the job to end', async () => {
    const job = await world.ask('GET', `/v1/sessions/shop/jobs/${again.body.job}`)
    return job.body.state === 'done'
  })
})

test('what the first version deleted, and kept for ever, is worked off: its name is free, and its backup is listed', async () => {
  await using world = await openCopy()
  expect(await world.ended('limbo')).toMatchObject({ phase: 'kept', life: null, backup: expect.any(String) })
  expect((await world.ask('GET', '/v1/sessions/limbo')).status).toBe(404)
  expect((await world.ask('GET', '/v1/backups')).body.items).toMatchObject([
    { session: 'limbo', life: null, label: 'deleted' },
  ])
  const { backup } = await world.ended('limbo')
  const restored = await world.operate('POST', `/v1/backups/${backup}/restore`, { as: 'limbo' })
  expect(restored.status).toBe(202)
  await world.inPhase('limbo', 'connected')
  expect(world.unlinked).toEqual([])
})

test('a session of the first version is a life: it is deleted, purged and created again as another one', async () => {
  await using world = await openCopy()
  await world.inPhase('shop', 'connected')
  expect((await world.ask('DELETE', '/v1/sessions/shop')).body).toMatchObject({ id: 'shop', life: null })
  const created = await world.ask('POST', '/v1/sessions', { id: 'shop' })
  expect(created.status).toBe(201)
  expect(await world.ended('shop')).toMatchObject({ phase: 'kept', backup: expect.any(String) })
  expect((await world.ask('GET', '/v1/sessions/shop/messages?direction=in')).body.items).toEqual([])
  await world.inPhase('shop', 'unpaired')
  expect(await world.key('shop')).toBe(`acme~shop~${created.body.life}`)
  const { body } = await world.operate('DELETE', '/v1/sessions/shop?purge=true')
  expect(await world.ended(body.id)).toMatchObject({ phase: 'purged' })
  expect((await world.ask('GET', '/v1/removals/shop')).body).toMatchObject({ phase: 'purged' })
  const backups = (await world.ask('GET', '/v1/backups')).body.items
  expect(backups.map(({ session }: { session: string }) => session)).not.toContain('shop')
  for (const kind of ['snapshots', 'exports', 'imports'])
    expect(await world.stores.blobs.list(`${kind}/acme/shop`)).toEqual([])
})
