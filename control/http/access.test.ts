import { describe, expect, test } from 'vitest'
import type { Scope } from '#shared/store/api-key-store.ts'
import { ADMIN_KEY, controlWorld } from '../control.fixture.ts'
import type { ControlWorld } from '../control.fixture.ts'
import { ACCESS, type Access } from './access.ts'

const SCOPED = ['read', 'send', 'control', 'credentials', 'admin'] as const

test('the table has a row for every route, and every row is a route', async () => {
  await using world = await controlWorld()
  const routes = world.app.routes
    .filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`)
  expect(new Set(Object.keys(ACCESS))).toEqual(new Set(routes))
})

test('the document says of each route which scope it needs and what a key for named sessions gets', async () => {
  await using world = await controlWorld()
  const { body } = await world.ask('GET', '/openapi.json', { key: '' })
  const paths = body.paths as Record<string, Record<string, Record<string, unknown>>>
  for (const [route, { scope, named }] of Object.entries(ACCESS)) {
    const [method = '', path = ''] = route.split(' ')
    const operation = paths[path]?.[method.toLowerCase()]
    if (operation) expect(operation).toMatchObject({ 'x-scope': scope, 'x-named-sessions': named })
  }
})

type Verdict = 'passes' | 401 | 403 | 404

interface Holder {
  says: string
  key: string
  scopes: readonly Scope[]
  of: 'operator' | 'acme' | 'rival'
  /** Of the session `own`, whose tenant is acme. */
  named?: 'own' | 'other'
  bad?: boolean
}

/** Every kind of key there is. */
async function holders(world: ControlWorld): Promise<Holder[]> {
  const make = async (body: object): Promise<string> =>
    (await world.ask('POST', '/v1/keys', { body: { name: 'matrix', ...body } })).body.key
  const soon = new Date(world.clock.nowMs() + 60_000).toISOString()
  const all: Holder[] = [
    { says: 'no key', key: '', scopes: [], of: 'acme', bad: true },
    { says: 'the bootstrap key', key: ADMIN_KEY, scopes: ['admin'], of: 'operator' },
  ]
  for (const scope of SCOPED) {
    const scopes = [scope]
    const tenant = 'acme'
    all.push(
      { says: `operator, ${scope}`, key: await make({ scopes, tenant: null }), scopes, of: 'operator' },
      { says: `acme, ${scope}`, key: await make({ scopes, tenant }), scopes, of: tenant },
      { says: `rival, ${scope}`, key: await make({ scopes, tenant: 'rival' }), scopes, of: 'rival' },
      {
        says: `acme's own, ${scope}`,
        key: await make({ scopes, tenant, sessions: ['own'] }),
        scopes,
        of: tenant,
        named: 'own',
      },
      {
        says: `acme's other, ${scope}`,
        key: await make({ scopes, tenant, sessions: ['other'] }),
        scopes,
        of: tenant,
        named: 'other',
      },
    )
  }
  const scopes = ['admin'] as const
  const expired = await make({ scopes, tenant: 'acme', expiresAt: soon })
  all.push({ says: 'expired', key: expired, scopes, of: 'acme', bad: true })
  await world.clock.advance(60_001)
  return all
}

/** What the table says. */
function verdictOf(access: Access, holder: Holder, flagged: boolean): Verdict {
  const { scope, of, named, flag } = access
  if (scope === 'public') return 'passes'
  if (holder.bad) return 401
  const has = (one: Scope): boolean => holder.scopes.includes(one) || holder.scopes.includes('admin')
  if (!has(scope) || (flagged && flag && !has(flag.scope))) return 403
  if (of === 'operator' && holder.of !== 'operator') return 403
  if (holder.named && named === 'refused') return 403
  if (holder.named === 'other' && named === 'own') return 404
  if (holder.of === 'rival' && of === 'tenant') return 404
  return 'passes'
}

/** Sends it as the operator would, who names acme. Answers what was decided before the handler had a say. */
async function tryIt(world: ControlWorld, method: string, path: string, key: string): Promise<Verdict> {
  const response = await world.app.request(path, {
    method,
    headers: key === '' ? {} : { 'x-api-key': key },
  })
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
  if (isStream) await response.body?.cancel()
  const text = isStream ? '' : await response.text()
  const isHidden = response.status === 404 && /There is no (session|tenant) /.test(text)
  if (response.status === 401 || response.status === 403) return response.status
  return isHidden ? 404 : 'passes'
}

describe('every route with every kind of key', () => {
  const rows = Object.entries(ACCESS).flatMap(([route, access]) => [
    [route, access, false] as const,
    ...(access.flag ? [[`${route}?${access.flag.name}=true`, access, true] as const] : []),
  ])

  test('F6: gets what the table says, and nothing else', async () => {
    const overrides = { requestsPerSecond: 1e6, requestsPerSecondOfKey: 1e6, wrongKeysPerSecond: 1e6 }
    await using world = await controlWorld({ quotaOverrides: overrides })
    const all = await holders(world)
    const wrong: string[] = []
    for (const [route, access, flagged] of rows) {
      const [method = '', pattern = ''] = route.split(' ')
      const isPages = access.scope === 'public'
      const address = pattern
        .replace('/sessions/{id}', '/sessions/own')
        .replace('/removals/{id}', '/removals/own')
        .replace('{tenant}', 'acme')
        .replaceAll(/\{\w+\}/g, 'none')
      const path = isPages ? address : `${address}${address.includes('?') ? '&' : '?'}tenant=acme`
      for (const holder of all) {
        // Some of those who may do so end the session, which the next ones ask for.
        await world.ask('PUT', '/v1/sessions/own?tenant=acme', { body: { want: { state: 'stopped' } } })
        const expected = verdictOf(access, holder, flagged)
        const got = await tryIt(world, method, path, holder.key)
        // Where the handler looks, whoever passes may still find nothing.
        const isSame = got === expected || (expected === 'passes' && got === 404 && access.of !== 'tenant')
        if (!isSame) wrong.push(`${holder.says}: ${route} is ${got}, not ${expected}`)
      }
    }
    expect(wrong).toEqual([])
  })
})
