import { z } from '@hono/zod-openapi'
import { CodedError } from '#shared/errors.ts'
import type { TenantId } from '#shared/ids.ts'
import { SCOPES } from '#shared/store/api-key-store.ts'
import type { ApiKey } from '#shared/store/api-key-store.ts'
import { mintKey, resolveTenant } from '../http/auth.ts'
import type { Caller, ControlApp, ControlContext, Services } from '../http/context.ts'
import { idFor, idempotencyKey } from '../http/idempotency.ts'
import { iso, isoOrNull } from '../present/present.ts'
import { answers, body, declare } from '../http/route.ts'
import { Time, pageOf } from '../present/schemas.ts'

const KEY_ID_LENGTH = 10

const KeySchema = z
  .object({
    id: z.string(),
    tenant: z.string().nullable().openapi({ description: 'null: a key of the operator.' }),
    scopes: z.array(z.enum(SCOPES)),
    prefix: z.string().openapi({ description: 'How the key begins.', example: 'moor_k3x9a2bcde' }),
    name: z.string(),
    createdAt: Time,
    lastUsedAt: Time.nullable().openapi({ description: 'To the minute.' }),
    revokedAt: Time.nullable(),
  })
  .openapi('ApiKey')

const NewKeySchema = KeySchema.extend({
  key: z.string().openapi({ description: 'The key itself. It is shown this once and stored nowhere.' }),
}).openapi('NewApiKey')

const NewKey = z.strictObject({
  name: z.string().min(1).max(200),
  scopes: z.array(z.enum(SCOPES)).min(1),
  tenant: z.string().nullable().optional().openapi({
    description: 'Or ?tenant=. null: a key of the operator; without it only a key with `admin` becomes one.',
  }),
})

const KeyParam = z.object({ id: z.string() })
const TenantQuery = z.object({ tenant: z.string().optional() })

/** API keys. Whoever holds one with `admin` makes further ones, inside its tenant if it is bound to one. */
export function keyRoutes(app: ControlApp, services: Services): void {
  const tags = ['keys']
  const { stores } = services

  const create = declare(
    services,
    { scope: 'admin', idempotent: true },
    {
      method: 'post',
      path: '/v1/keys',
      tags,
      summary: 'Create a key',
      description:
        'The key is in this answer and nowhere else. Because it is not stored, a repeat with the same Idempotency-Key ' +
        'can not show it again: it answers 409 `exists` and names the key that the first attempt made.',
      request: { query: TenantQuery, body: body(NewKey) },
      responses: { 201: answers(NewKeySchema, 'The key') },
    },
  )
  app.openapi(create, async (c) => {
    const asked = c.req.valid('json')
    const tenant = await tenantFor(c.get('caller'), asked, c.req.valid('query').tenant)
    const id = idFor(c, services.random, 'key', c.get('caller').sha256).slice(0, KEY_ID_LENGTH)
    if (idempotencyKey(c) !== undefined && (await stores.apiKeys.list(tenant)).some((key) => key.id === id)) {
      throw new CodedError(
        'exists',
        `This Idempotency-Key has made the key ${id} already, which can't be shown again.`,
      )
    }
    const bound = tenant === undefined ? {} : { tenant }
    const minted = mintKey(services.keyPepper, id, { ...bound, scopes: asked.scopes })
    const record: ApiKey = {
      id,
      sha256: minted.sha256,
      prefix: minted.prefix,
      scopes: asked.scopes,
      name: asked.name,
      createdAt: services.clock.nowMs(),
      ...bound,
    }
    await stores.apiKeys.create(record)
    c.get('log').info({ keyPrefix: record.prefix, by: c.get('caller').prefix, tenant }, 'key created')
    return c.json({ ...present(record), key: minted.key }, 201)
  })

  /** Nobody becomes an operator by leaving something out: without a tenant it takes `admin` or an explicit `null`. */
  async function tenantFor(
    caller: Caller,
    asked: z.infer<typeof NewKey>,
    inQuery: string | undefined,
  ): Promise<TenantId | undefined> {
    const named = asked.tenant ?? inQuery
    if (caller.tenant === undefined && named === undefined) {
      if (asked.tenant === null || asked.scopes.includes('admin')) return undefined
    }
    return resolveTenant(services, caller, named)
  }

  const list = declare(
    services,
    { scope: 'admin' },
    {
      method: 'get',
      path: '/v1/keys',
      tags,
      summary: 'List keys',
      description: 'Of one tenant, or with a key of the operator and without ?tenant= all of them.',
      request: { query: TenantQuery },
      responses: { 200: answers(pageOf(KeySchema), 'The keys, revoked ones too') },
    },
  )
  app.openapi(list, async (c) => {
    const caller = c.get('caller')
    const named = c.req.valid('query').tenant
    const all = caller.tenant === undefined && named === undefined
    const tenant = all ? undefined : await resolveTenant(services, caller, named)
    const keys = await stores.apiKeys.list(tenant)
    const sinceMs = tenant === undefined ? 0 : ((await stores.tenants.get(tenant))?.createdAt ?? 0)
    // Those of an earlier tenant of the name were revoked with it, and are none of this one's business.
    const own = keys.filter((key) => key.revokedAt === undefined || key.createdAt >= sinceMs)
    return c.json({ items: own.map(present) }, 200)
  })

  const get = declare(
    services,
    { scope: 'admin' },
    {
      method: 'get',
      path: '/v1/keys/{id}',
      tags,
      summary: 'One key',
      request: { params: KeyParam },
      responses: { 200: answers(KeySchema, 'The key, without itself') },
    },
  )
  app.openapi(get, async (c) => c.json(present(await find(c, c.req.valid('param').id)), 200))

  const revoke = declare(
    services,
    { scope: 'admin' },
    {
      method: 'delete',
      path: '/v1/keys/{id}',
      tags,
      summary: 'Revoke a key',
      description: 'From the next request on it is refused; event streams it holds open end within a minute.',
      request: { params: KeyParam },
      responses: { 204: { description: 'It is revoked, or was before' } },
    },
  )
  app.openapi(revoke, async (c) => {
    const key = await find(c, c.req.valid('param').id)
    if (key.revokedAt === undefined) await stores.apiKeys.revoke(key.sha256, services.clock.nowMs())
    c.get('log').info({ keyPrefix: key.prefix, by: c.get('caller').prefix }, 'key revoked')
    return c.body(null, 204)
  })

  async function find(c: ControlContext, id: string): Promise<ApiKey> {
    const keys = await stores.apiKeys.list(c.get('caller').tenant)
    const key = keys.find((key) => key.id === id)
    if (!key) throw new CodedError('not_found', `There is no key ${JSON.stringify(id.slice(0, 64))}.`)
    return key
  }
}

const present = (key: ApiKey): z.infer<typeof KeySchema> => ({
  id: key.id,
  tenant: key.tenant ?? null,
  scopes: [...key.scopes],
  prefix: key.prefix,
  name: key.name,
  createdAt: iso(key.createdAt),
  lastUsedAt: isoOrNull(key.lastUsedAt),
  revokedAt: isoOrNull(key.revokedAt),
})
