import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { CodedError, ERRORS } from '#shared/errors.ts'
import { controlWorld } from '../control.fixture.ts'
import { serveHttp } from '#shared/http/serve.ts'

/** Pages about the API rather than part of it. */
const PAGES = new Set(['/', '/docs', '/openapi.json'])

test('every route is in the OpenAPI document, and every one in the document is a route', async () => {
  await using world = await controlWorld()
  const { body } = await world.ask('GET', '/openapi.json', { key: '' })
  const documented = Object.entries(body.paths as Record<string, object>).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
  )
  const routes = world.app.routes
    .filter(({ method, path }) => method !== 'ALL' && !PAGES.has(path))
    .map(({ method, path }) => `${method} ${path}`)
  expect(new Set(documented)).toEqual(new Set(routes))
  expect(body.openapi).toBe('3.1.0')
})

test('every operation says which key it needs, what it answers, and that it may be a problem', async () => {
  await using world = await controlWorld()
  const { body } = await world.ask('GET', '/openapi.json', { key: '' })
  for (const [path, item] of Object.entries(body.paths as Record<string, Record<string, never>>)) {
    for (const [method, operation] of Object.entries(item)) {
      const says = `${method} ${path}`
      expect([says, operation]).toEqual([
        says,
        expect.objectContaining({
          summary: expect.any(String),
          operationId: expect.any(String),
          tags: [expect.any(String)],
          security: path.startsWith('/health/')
            ? []
            : expect.arrayContaining([{ bearer: expect.any(Array) }]),
          responses: expect.objectContaining({ default: expect.anything() }),
        }),
      ])
    }
  }
})

test('every code that control answers with is in the table of errors, and the page shows the whole table', async () => {
  await using world = await controlWorld()
  const used = new Set<string>()
  for (const path of await programFiles()) {
    const text = await readFile(path, 'utf8')
    for (const [, code] of text.matchAll(/new CodedError\(\s*'(\w+)'/g)) used.add(code ?? '')
  }
  expect(used.size).toBeGreaterThan(10)
  for (const code of used) expect(Object.keys(ERRORS)).toContain(code)
  const { body } = await world.ask('GET', '/docs', { key: '' })
  for (const code of [...Object.keys(ERRORS), 'internal']) expect(body).toContain(`id="problem-${code}"`)
})

test('the reference page needs no network', async () => {
  await using world = await controlWorld()
  const { body, headers } = await world.ask('GET', '/docs', { key: '' })
  expect(headers.get('content-type')).toContain('text/html')
  expect(body).not.toMatch(/<script|src=|https?:\/\/(?!example|wa\.me)/)
  expect(body).toContain('/v1/sessions/{id}/pairing')
})

test('tells nothing of an unexpected error but where to look', async () => {
  await using world = await controlWorld()
  world.stores.tenants.list = () => Promise.reject(new Error('secret 1234 at db.internal'))
  const { status, body, headers } = await world.ask('GET', '/v1/tenants')
  expect(status).toBe(500)
  expect(body.code).toBe('internal')
  expect(JSON.stringify(body)).not.toMatch(/secret|db\.internal/)
  expect(body.requestId).toBe(headers.get('x-request-id'))
  expect(world.logged()).toContain(body.requestId)
})

test('says when to come back while the store is away', async () => {
  await using world = await controlWorld()
  const away = new CodedError('store_unavailable', 'list tenants', { cause: new Error('at db.internal') })
  world.stores.tenants.list = () => Promise.reject(away)
  const { status, body, headers } = await world.ask('GET', '/v1/tenants')
  expect(status).toBe(503)
  expect(headers.get('retry-after')).toBe('1')
  expect(body).toMatchObject({ code: 'store_unavailable', detail: 'list tenants' })
  expect(JSON.stringify(body)).not.toContain('db.internal')
})

test('goes through with a change although the audit trail can not be written', async () => {
  await using world = await controlWorld()
  world.stores.events.append = () => Promise.reject(new Error('away'))
  const { status } = await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
  expect(status).toBe(201)
  expect(world.logged()).toContain('could not write to the audit trail')
})

test('answers what there is not with a problem, and only to those with a key', async () => {
  await using world = await controlWorld()
  expect((await world.ask('GET', '/v1/nothing')).body).toMatchObject({ status: 404, code: 'not_found' })
  expect((await world.ask('GET', '/v1/nothing', { key: '' })).status).toBe(401)
})

test('imports nothing of the runner', async () => {
  for (const path of await programFiles())
    expect(await readFile(path, 'utf8')).not.toMatch(/from '(#runner|.*\/runner\/)/)
})

test('serves over HTTP, and closes while an event stream is open', async () => {
  await using world = await controlWorld()
  const serving = await serveHttp({ app: world.app, port: 0, hostname: '127.0.0.1' })
  const base = `http://127.0.0.1:${serving.port}`
  expect((await fetch(`${base}/health/live`)).status).toBe(200)
  const key = await world.keyOf('acme', 'read')
  const stream = await fetch(`${base}/v1/events`, { headers: { 'x-api-key': key } })
  expect(stream.status).toBe(200)
  const ended = stream.text().catch(() => 'cut')
  const beganMs = performance.now()
  await serving.close()
  await serving.close()
  expect(performance.now() - beganMs).toBeLessThan(2_000)
  expect(await ended).toBe('cut')
  await expect(fetch(`${base}/health/live`)).rejects.toThrow(/fetch failed/)
})

test('refuses a port that is taken', async () => {
  await using world = await controlWorld()
  const serving = await serveHttp({ app: world.app, port: 0, hostname: '127.0.0.1' })
  const again = serveHttp({ app: world.app, port: serving.port, hostname: '127.0.0.1' })
  await expect(again).rejects.toMatchObject({ code: 'EADDRINUSE' })
  await serving.close()
})

/** The files of control that are no tests, in all its rooms. */
async function programFiles(): Promise<string[]> {
  const room = join(import.meta.dirname, '..')
  const names = await readdir(room, { recursive: true })
  return names.filter((name) => /(?<!\.test)\.ts$/.test(name)).map((name) => join(room, name))
}

test.for(['4'.repeat(4_000), '4'.repeat(65), 'a~b', '-x', '1:4915112345678@lid'])(
  'F3: what is no name of a session is in no line of the log: %s',
  async (segment) => {
    await using world = await controlWorld()
    await world.ask('POST', `/v1/sessions/${segment}/start?tenant=acme`)
    await world.ask('GET', `/v1/sessions/${segment}?tenant=acme`)
    expect(world.logged()).toContain('request answered')
    expect(world.logged()).not.toContain(segment)
    expect(world.logged()).not.toContain('sessionId')
  },
)

test('the session that a request is about is in its line', async () => {
  await using world = await controlWorld()
  await world.ask('POST', '/v1/sessions/main/start?tenant=acme')
  expect(world.logged()).toContain('"sessionId":"acme~main"')
})
