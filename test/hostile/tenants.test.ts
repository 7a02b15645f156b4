import { stat } from 'node:fs/promises'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { eventually } from '#test/e2e/eventually.ts'
import { ask, hangUp, tally, type Answered } from './ask.ts'
import { useSiege } from './siege.ts'

/** What a tenant with good keys, or somebody without one, does to the API of everybody. The numbers are those of the first attacks. */

const siege = useSiege()
afterEach(() => hangUp())

const times = <T>(count: number, work: (at: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, at) => work(at)))

interface Key {
  id: string
  key: string
}
const makeKey = (tenant: string, more: object, idempotencyKey?: string): Promise<Answered & Partial<Key>> =>
  fetch(`${siege.operator.url}/v1/keys`, {
    method: 'POST',
    headers: {
      'x-api-key': siege.operator.key,
      'content-type': 'application/json',
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
    },
    body: JSON.stringify({ tenant, name: 'one', ...more }),
  }).then(async (answer) => ({ status: answer.status, code: '', ...((await answer.json()) as Partial<Key>) }))
const keyOf = async (tenant: string, more: object): Promise<string> => (await makeKey(tenant, more)).key ?? ''

test('F3: thousands of digits in a path are refused at once, whatever they are called', async () => {
  const { hostile, control } = siege
  const digits = '1'.repeat(4_000)
  const paths = [digits, `${digits}@s.whatsapp.net`, `+${digits}`, '1-'.repeat(2_000), '%31'.repeat(1_300)]
  const answers = await siege.underWatch(() =>
    Promise.all(
      paths.flatMap((path) => [
        ask(hostile, { method: 'POST', path: `/v1/sessions/${path}/start` }),
        ask(hostile, { method: 'POST', path: `/${path}`, key: path.slice(0, 100) }),
        ask(hostile, { method: 'POST', path: '/v1/sessions', body: JSON.stringify({ id: path }) }),
      ]),
    ),
  )
  for (const { status } of answers) expect([401, 404, 422, 400, 429]).toContain(status)
  expect(control.child.lines.filter((line) => line.includes('1'.repeat(20)))).toEqual([])
})

test('F3 F6: a want of 80 MB is refused, and not held', async () => {
  const { hostile, target } = siege
  const body = Buffer.alloc(80 * 1024 * 1024, 'x')
  body.write('{"want":{"metadata":{"a":"')
  const [whole, ...many] = await siege.underWatch(() =>
    Promise.all([
      ask(hostile, { method: 'PATCH', path: `/v1/sessions/${target.session}`, body }),
      ...Array.from({ length: 20 }, (_, at) =>
        ask(hostile, {
          method: 'PATCH',
          path: `/v1/sessions/${target.session}`,
          body: JSON.stringify({ want: { metadata: { [`name${at}`]: 'x'.repeat(900_000) } } }),
        }),
      ),
    ]),
  )
  // Whoever sends on after the answer may find the connection closed before he reads it.
  expect([0, 413]).toContain(whole?.status)
  for (const { status } of many) expect([413, 422, 409, 429]).toContain(status)
})

test('F6: 1,500 event streams on one key are as many as a key may have', async () => {
  const { hostile } = siege
  const answers = await siege.underWatch(() => times(1_500, () => ask(hostile, { path: '/v1/events' })))
  const { 200: streams = 0, 429: refused = 0 } = tally(answers)
  expect(streams).toBe(20)
  expect(refused).toBe(1_480)
})

test('F6: twenty keys queue no more than their tenant may, and cost nobody else a beat', async () => {
  const { hostile } = siege
  await hostile.create('never-linked')
  const keys = await times(20, () => keyOf('hostile', { scopes: ['send'] }))
  const text = 'x'.repeat(60_000)
  const answers = await siege.underWatch(async () =>
    (
      await Promise.all(
        keys.map(async (key) => {
          const answers: Answered[] = []
          for (let at = 0; at < 42; at++)
            answers.push(
              await ask(hostile, {
                method: 'POST',
                path: '/v1/sessions/never-linked/messages',
                key,
                body: JSON.stringify({ to: '4915999000001', text }),
              }),
            )
          return answers
        }),
      )
    ).flat(),
  )
  const { 202: queued = 0, 429: refused = 0 } = tally(answers)
  expect(queued * text.length).toBeLessThanOrEqual(16 * 1024 * 1024)
  expect(queued + refused).toBe(answers.length)
  expect(refused).toBeGreaterThan(0)
})

test('F6: wrong keys are free of charge for nobody but the store', async () => {
  const { hostile } = siege
  const startMs = performance.now()
  const answers = await siege.underWatch(async () => {
    const all: Answered[] = []
    for (let round = 0; round < 20; round++)
      all.push(
        ...(await times(100, (at) =>
          ask(hostile, { path: '/v1/sessions', key: `moor_${String(round * 100 + at).padStart(40, 'w')}` }),
        )),
      )
    return all
  })
  const { 401: lookedUp = 0, 429: refused = 0 } = tally(answers)
  const seconds = (performance.now() - startMs) / 1000
  // Twenty a second, twice as many at once (shared/quotas.ts); those whose form is wrong cost no look at all.
  expect(lookedUp).toBeLessThanOrEqual(40 + 20 * seconds + 1)
  expect(lookedUp + refused).toBe(2_000)
})

test('F6: fifteen that race for five places make five', async () => {
  const { operator } = siege
  await operator.createTenant('racer')
  await operator.call('PATCH', '/v1/tenants/racer', { limits: { sessions: 5 } })
  const key = await keyOf('racer', { scopes: ['control'] })
  const answers = await siege.underWatch(() =>
    times(15, (at) =>
      ask(operator, {
        method: 'POST',
        path: '/v1/sessions',
        key,
        body: JSON.stringify({ id: `s${at}`, want: { state: 'stopped' } }),
      }),
    ),
  )
  expect(tally(answers)).toEqual({ 201: 5, 409: 10 })
  expect(answers.filter(({ code }) => code === 'limit_reached')).toHaveLength(10)
})

test('F6: one Idempotency-Key of two tenants makes two ids, and each key ends with its own', async () => {
  const { operator } = siege
  const grant = { scopes: ['admin'] }
  const [one, other] = [await makeKey('hostile', grant, 'same'), await makeKey('quiet', grant, 'same')]
  expect(one.id).not.toBe(other.id)
  await operator.call('DELETE', `/v1/keys/${one.id}`, undefined, { tenant: 'hostile' })
  const look = (key = '') => ask(operator, { path: '/v1/sessions', key })
  expect([(await look(one.key)).status, (await look(other.key)).status]).toEqual([401, 200])
  await operator.call('DELETE', `/v1/keys/${other.id}`, undefined, { tenant: 'quiet' })
  expect((await look(other.key)).status).toBe(401)
})

test('F4 F6: a key of a bot takes no credentials out or in, and a key ends when it was said to', async () => {
  const { hostile, target } = siege
  const key = await keyOf('hostile', { scopes: ['read', 'send', 'control'] })
  const path = `/v1/sessions/${target.session}`
  const headers = { 'x-passphrase': 'a passphrase of his own' }
  const answers = await Promise.all([
    ask(hostile, { method: 'POST', path: `${path}/export`, key, headers }),
    ask(hostile, { path: `${path}/export`, key, headers }),
    ask(hostile, { path: `${path}/export?job=any`, key }),
    ask(hostile, { method: 'POST', path: `${path}/import`, key, body: '{"files":{}}' }),
    ask(hostile, { method: 'POST', path: `${path}/restore`, key, body: '{"latest":true}' }),
    ask(hostile, { method: 'DELETE', path: `${path}?purge=true`, key }),
    ask(hostile, { path: '/v1/import-key', key }),
  ])
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 403))

  const expiresAt = new Date(Date.now() + 1_000).toISOString()
  const short = await keyOf('hostile', { scopes: ['read'], expiresAt })
  const look = () => ask(hostile, { path: '/v1/sessions', key: short })
  expect((await look()).status).toBe(200)
  await eventually('the key to end', look, ({ status }) => status === 401)
})

test('F4: nothing of an installation can be read by another account of the machine', async () => {
  const { dataDir, workDir } = siege.installation
  const paths = [dataDir, workDir].flatMap((dir) => [
    dir,
    ...globSync('**', { cwd: dir }).map((path) => join(dir, path)),
  ])
  expect(paths.length).toBeGreaterThan(5)
  const modes = await Promise.all(
    paths.map(async (path) => [path, ((await stat(path)).mode & 0o077).toString(8)] as const),
  )
  // What a private directory holds nobody else comes to.
  expect(modes.filter(([path, mode]) => mode !== '0' && [dataDir, workDir].includes(path))).toEqual([])
  expect(modes.filter(([path, mode]) => mode !== '0' && path.startsWith(dataDir))).toEqual([])
})
