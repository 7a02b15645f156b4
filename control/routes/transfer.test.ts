import { expect, test, vi } from 'vitest'
import { importsOf } from '#shared/registry.ts'
import { ageOpen, ageSeal } from '#shared/sealing/age.ts'
import { deriveAgeIdentity } from '#shared/sealing/age-identity.ts'
import { inboundPlace, openInbound, openInboundText } from '#shared/sealing/inbound.ts'
import { controlWorld } from '../control.fixture.ts'
import type { ControlWorld } from '../control.fixture.ts'

const PASSPHRASE = 'correct horse battery staple'
const sealedUnder = { 'x-passphrase': PASSPHRASE }
const main = '/v1/sessions/main'
const octets = { 'content-type': 'application/octet-stream' }

async function withSession(): Promise<ControlWorld> {
  const world = await controlWorld()
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
  return world
}

async function withPaired(): Promise<ControlWorld> {
  const world = await withSession()
  await world.report('main', { phase: 'connected', authenticatedAt: 1 })
  return world
}

const get = (world: ControlWorld, query: string, headers: Record<string, string> = {}) =>
  world.ask('GET', `${main}/export?tenant=acme${query}`, { headers })
const jobOf = async (world: ControlWorld, id: string) => {
  const job = await world.stores.jobs.get(world.key('main'), id)
  if (!job) throw new Error('there is no such job')
  return job
}
/** What a runner finds in the upload of a job. */
const unsealed = async (world: ControlWorld, job: string): Promise<Buffer> => {
  const stored = world.stores.blobs.read(`${importsOf(world.key('main'))}${job}`)
  const place = inboundPlace(world.key('main'), job, 'import')
  return Buffer.concat(await Array.fromAsync(openInbound(stored, [world.inbound], place)))
}
const finish = (world: ControlWorld, id: string, end: object) =>
  world.stores.jobs.finish(world.key('main'), id, { state: 'done', nowMs: world.clock.nowMs(), ...end })

test('C4 exports: a job with a passphrase that only a runner can read, then the bundle', async () => {
  await using world = await withPaired()
  const started = await world.ask('POST', `${main}/export?tenant=acme`, { headers: sealedUnder })
  expect(started.status).toBe(202)
  expect(started.headers.get('location')).toBe(`${main}/export?job=${started.body.job}`)
  const job = await jobOf(world, started.body.job)
  expect(JSON.stringify(job)).not.toContain(PASSPHRASE)
  const place = inboundPlace(world.key('main'), job.id, 'passphrase')
  const sealed = String(job.args['sealedPassphrase'])
  expect(await openInboundText(sealed, [world.inbound], place)).toBe(PASSPHRASE)
  const elsewhere = openInboundText(sealed, [world.inbound], `${place}x`)
  await expect(elsewhere).rejects.toMatchObject({ code: 'bad_import' })

  expect((await get(world, `&job=${job.id}&wait=0`)).status).toBe(202)
  const bundle = Buffer.from('a bundle in two pieces')
  await world.stores.blobs.create('exports/acme/main/x', [bundle.subarray(0, 5), bundle.subarray(5)])
  await finish(world, job.id, { result: { object: 'exports/acme/main/x', bytes: bundle.length } })
  const done = await get(world, `&job=${job.id}`)
  expect(done.status).toBe(200)
  expect(done.headers.get('content-disposition')).toContain('acme-main.mooring')
  expect(done.body).toBe(bundle.toString())
  const shown = await world.ask('GET', `${main}/jobs/${job.id}?tenant=acme`)
  expect(shown.body.result).toEqual({ bytes: bundle.length })
  expect(world.logged()).not.toContain(PASSPHRASE)
})

test('C4 exports with a single GET that waits for the runner', async () => {
  await using world = await withPaired()
  // The runner works while control waits.
  world.clock.sleep = async (ms) => {
    await world.clock.advance(ms)
    for (const job of await world.stores.jobs.open(world.key('main'))) {
      await world.stores.blobs.create('exports/acme/main/y', [Buffer.from('bundle')])
      await finish(world, job.id, { result: { object: 'exports/acme/main/y' } })
    }
  }
  const { status, body } = await get(world, '&wait=55', sealedUnder)
  expect([status, body]).toEqual([200, 'bundle'])
})

test('answers with the job when no runner makes the bundle in time', async () => {
  await using world = await withPaired()
  const { status, body } = await get(world, '&wait=1', sealedUnder)
  expect(status).toBe(202)
  expect(body.job).toEqual(expect.any(String))
})

test('says why an export failed, and when its bundle is gone', async () => {
  await using world = await withPaired()
  const one = await world.ask('POST', `${main}/export?tenant=acme`, { headers: sealedUnder })
  await finish(world, one.body.job, {
    state: 'failed',
    error: { code: 'no_state', detail: 'nothing is stored' },
  })
  expect((await get(world, `&job=${one.body.job}`)).body).toMatchObject({ status: 409, code: 'no_state' })
  const two = await world.ask('POST', `${main}/export?tenant=acme`, { headers: sealedUnder })
  await finish(world, two.body.job, { result: { object: 'exports/acme/main/gone' } })
  expect((await get(world, `&job=${two.body.job}`)).status).toBe(404)
  expect((await get(world, '&job=nobody')).status).toBe(404)
})

test('exports nothing without a good passphrase, without credentials or without the scope', async () => {
  await using world = await withPaired()
  for (const wrong of [{}, { 'x-passphrase': 'short' }] as Record<string, string>[]) {
    expect((await get(world, '', wrong)).body).toMatchObject({ status: 422, field: 'X-Passphrase' })
  }
  const key = await world.keyOf('acme', 'read', 'send')
  expect((await world.ask('GET', `${main}/export`, { key, headers: sealedUnder })).status).toBe(403)
  await using empty = await withSession()
  expect((await get(empty, '', sealedUnder)).body).toMatchObject({ status: 409, code: 'no_state' })
})

test('C4 imports a bundle: stored sealed, for a runner only', async () => {
  await using world = await withSession()
  const bundle = Buffer.from([1, 2, 3, 250])
  const headers = { ...octets, ...sealedUnder }
  const { status, body } = await world.ask('POST', `${main}/import?tenant=acme`, { body: bundle, headers })
  expect(status).toBe(202)
  const job = await jobOf(world, body.job)
  expect(job).toMatchObject({
    kind: 'import',
    args: { sealedBy: 'control', force: false, cleanlyStopped: false },
  })
  const object = String(job.args['object'])
  expect(object).toBe(`${importsOf(world.key('main'))}${job.id}`)
  const stored = Buffer.concat(await Array.fromAsync(world.stores.blobs.read(object)))
  expect(stored.includes(bundle)).toBe(false)
  expect(await unsealed(world, job.id)).toEqual(bundle)
})

test('C4 imports a Baileys folder as JSON', async () => {
  await using world = await withSession()
  const files = { 'creds.json': Buffer.from('{"me":"x"}').toString('base64'), 'pre-key-1.json': 'e30=' }
  const post = (body: object, query = '') => world.ask('POST', `${main}/import?tenant=acme${query}`, { body })
  const { body } = await post({ files }, '&cleanlyStopped=true')
  const job = await jobOf(world, body.job)
  expect(job.args).toMatchObject({ sealedBy: 'control', cleanlyStopped: true })
  expect(JSON.parse((await unsealed(world, job.id)).toString())).toEqual({ files })
})

test('imports once under one Idempotency-Key, even when the first attempt stopped half way', async () => {
  await using world = await withSession()
  const headers = { ...octets, ...sealedUnder, 'idempotency-key': 'move' }
  const post = () => world.ask('POST', `${main}/import?tenant=acme`, { body: Buffer.from('bundle'), headers })
  const isAway = vi.spyOn(world.stores.jobs, 'create').mockRejectedValueOnce(new Error('away'))
  expect((await post()).status).toBe(500)
  isAway.mockRestore()
  const first = await post()
  expect(first.status).toBe(202)
  expect((await post()).body.job).toBe(first.body.job)
  expect((await world.stores.blobs.list('imports/')).length).toBe(1)
})

test('imports over healthy credentials only by force', async () => {
  await using world = await withPaired()
  const headers = { ...octets, ...sealedUnder }
  const post = (query: string) =>
    world.ask('POST', `${main}/import?tenant=acme${query}`, { body: Buffer.from('bundle'), headers })
  expect((await post('')).body).toMatchObject({ status: 409, code: 'newer_state' })
  expect((await post('&force=true')).status).toBe(202)
})

test('F4: what a client sealed for the import key is stored as it came, and only a runner opens it', async () => {
  await using world = await withSession()
  const { body: shown } = await world.ask('GET', '/v1/import-key')
  const sealed = await ageSeal(Buffer.from('{"files":{}}'), [shown.recipient])
  const { body } = await world.ask('POST', `${main}/import?tenant=acme`, { body: sealed, headers: octets })
  const { args } = await jobOf(world, body.job)
  expect(args).toMatchObject({ sealedBy: 'sender' })
  const stored = Buffer.concat(await Array.fromAsync(world.stores.blobs.read(String(args['object']))))
  expect(stored).toEqual(sealed)
  expect((await ageOpen(stored, [world.inbound])).toString()).toBe('{"files":{}}')
})

test('F4: nothing that control has opens what it stored for a runner', async () => {
  await using world = await withSession()
  const headers = { ...octets, ...sealedUnder }
  const { body } = await world.ask('POST', `${main}/import?tenant=acme`, { body: Buffer.from('x'), headers })
  const { args } = await jobOf(world, body.job)
  const stored = Buffer.concat(await Array.fromAsync(world.stores.blobs.read(String(args['object']))))
  const { recipient } = (await world.ask('GET', '/v1/import-key')).body
  // The public half, taken for a secret, is all that it could try.
  const guess = await deriveAgeIdentity(Buffer.from(recipient), 'inbound')
  const sealed = [stored, Buffer.from(String(args['sealedPassphrase']), 'base64')]
  for (const file of sealed)
    await expect(ageOpen(file, [guess])).rejects.toMatchObject({ code: 'wrong_recipient' })
})

test('F3: an upload ends at its limit, is never held whole, and leaves nothing', async () => {
  await using world = await withSession()
  const piece = new Uint8Array(1 << 20)
  let sent = 0
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += piece.length
      controller.enqueue(piece)
    },
  })
  const key = await world.keyOf('acme', 'credentials')
  const answer = await world.app.request(`${main}/import`, {
    method: 'POST',
    headers: { ...octets, authorization: `Bearer ${key}` },
    body: endless,
    duplex: 'half',
  } as RequestInit)
  expect(answer.status).toBe(413)
  expect(sent).toBeLessThan(70 << 20)
  expect(await world.stores.blobs.list('imports/')).toEqual([])
  expect(await world.stores.jobs.open(world.key('main'))).toEqual([])
})

test('F4: where the operator has named for whom, no passphrase of a request is taken', async () => {
  const transfer = { recipient: async () => 'age1', exportTo: 'recipients' } as const
  await using world = await controlWorld({ transfer })
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
  await world.report('main', { phase: 'connected', authenticatedAt: 1 })
  const refused = await world.ask('POST', `${main}/export?tenant=acme`, { headers: sealedUnder })
  expect(refused.body).toMatchObject({ status: 409, code: 'export_off' })
  const { body } = await world.ask('POST', `${main}/export?tenant=acme`)
  expect((await jobOf(world, body.job)).args).toEqual({})
})
