import { z } from '@hono/zod-openapi'
import { CodedError, hasCode } from '#shared/errors.ts'
import { parseSessionId, type TenantId } from '#shared/ids.ts'
import { SCOPES } from '#shared/store/api-key-store.ts'
import type { ApiKey } from '#shared/store/api-key-store.ts'
import { resolveTenant } from '../http/auth.ts'
import { mintKey, type Grant } from '../http/key-text.ts'
import type { Caller, ControlApp, ControlContext, Services } from '../http/context.ts'
import { idFor, idempotencyKey } from '../http/idempotency.ts'
import { iso, isoOrNull } from '../present/present.ts'
import { answers, body, declare } from '../http/route.ts'
import { Time, pageOf } from '../present/schemas.ts'

const KEY_ID_LENGTH = 10
/** Each is looked up for a list. */
const SESSIONS_MAX = 100
/** Of a tenant, or of the operator: the newest of those that were revoked are kept for people to look at. */
const REVOKED_KEPT = 100

const KeySchema = z
  .object({
    id: z.string(),
    tenant: z.string().nullable().openapi({ description: 'null: a key of the operator.' }),
    scopes: z.array(z.enum(SCOPES)),
    sessions: z.array(z.string()).nullable().openapi({
      description:
        'The names of the sessions that it is for, whoever has such a name; null: all of its tenant.',
    }),
    prefix: z.string().openapi({ description: 'How the key begins.', example: 'moor_k3x9a2bcde' }),
    name: z.string(),
    createdAt: Time,
    expiresAt: Time.nullable(),
    lastUsedAt: Time.nullable().openapi({ description: 'To the minute.' }),
    revokedAt: Time.nullable(),
  })
  .openapi('ApiKey')

const NewKeySchema = KeySchema.extend({
  key: z.string().openapi({ description: 'The key itself. It is shown this once and stored nowhere.' }),
}).openapi('NewApiKey')

const NewKey = z.strictObject({
  name: z.string().min(1).max(200),
  scopes: z
    .array(z.enum(SCOPES))
    .min(1)
    .openapi({
      description:
        'read: see. send: send messages. control: create, pair, start, stop, delete. credentials: what lets somebody become the ' +
        'device (export, import, restore, purge). admin: all of these, and keys.',
    }),
  sessions: z.array(z.string()).min(1).max(SESSIONS_MAX).optional().openapi({
    description: 'It sees and does nothing of any other session, and makes none. For keys of a tenant.',
  }),
  expiresAt: z.iso.datetime({ offset: true }).optional().openapi({
    description: 'From then on it is refused. A key that expires makes none that outlives it.',
  }),
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
    { idempotent: true },
    {
      method: 'post',
      path: '/v1/keys',
      tags,
      summary: 'Create a key',
      description:
        'The key is in this answer and nowhere else. Of a tenant there are so many as its limit `keys` says, without those that are ' +
        'revoked. Because it is not stored, a repeat with the same Idempotency-Key ' +
        'can not show it again: it answers 409 `exists` and names the key that the first attempt made.',
      request: { query: TenantQuery, body: body(NewKey) },
      responses: { 201: answers(NewKeySchema, 'The key') },
    },
  )
  app.openapi(create, async (c) => {
    const asked = c.req.valid('json')
    const caller = c.get('caller')
    const tenant = await tenantFor(caller, asked, c.req.valid('query').tenant)
    const id = idFor(c, services.random, 'key', caller.sha256, tenant ?? '').slice(0, KEY_ID_LENGTH)
    const grant = grantOf(caller, asked, tenant, services.clock.nowMs())
    const minted = mintKey(services.keyPepper, id, grant)
    const { sha256, prefix } = minted
    const record: ApiKey = {
      id,
      sha256,
      prefix,
      name: asked.name,
      createdAt: services.clock.nowMs(),
      ...grant,
    }
    await stores.apiKeys.create(record).catch((cause: unknown) => {
      if (!hasCode(cause, 'exists') || idempotencyKey(c) === undefined) throw cause
      const what = `This Idempotency-Key has made the key ${id} already, which can't be shown again.`
      throw new CodedError('exists', what, { cause })
    })
    await forgetOldest(tenant)
    c.get('log').info({ keyPrefix: prefix, by: caller.prefix, tenant }, 'key created')
    return c.json({ ...present(record), key: minted.key }, 201)
  })

  /** What is revoked takes no place of the limit, so it needs a bound of its own. */
  async function forgetOldest(tenant: TenantId | undefined): Promise<void> {
    const revoked = (await stores.apiKeys.list(tenant))
      .filter((key) => key.tenant === tenant && key.revokedAt !== undefined)
      .toSorted((a, b) => (b.revokedAt ?? 0) - (a.revokedAt ?? 0))
    for (const { sha256 } of revoked.slice(REVOKED_KEPT)) await stores.apiKeys.forget(sha256)
  }

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
    {},
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
    {},
    {
      method: 'get',
      path: '/v1/keys/{id}',
      tags,
      summary: 'One key',
      request: { params: KeyParam, query: TenantQuery },
      responses: { 200: answers(KeySchema, 'The key, without itself') },
    },
  )
  app.openapi(get, async (c) => {
    const key = await find(c, c.req.valid('param').id, c.req.valid('query').tenant)
    return c.json(present(key), 200)
  })

  const revoke = declare(
    services,
    {},
    {
      method: 'delete',
      path: '/v1/keys/{id}',
      tags,
      summary: 'Revoke a key',
      description: 'From the next request on it is refused; event streams it holds open end within a minute.',
      request: { params: KeyParam, query: TenantQuery },
      responses: { 204: { description: 'It is revoked, or was before' } },
    },
  )
  app.openapi(revoke, async (c) => {
    const key = await find(c, c.req.valid('param').id, c.req.valid('query').tenant)
    if (key.revokedAt === undefined) await stores.apiKeys.revoke(key.sha256, services.clock.nowMs())
    c.get('log').info({ keyPrefix: key.prefix, by: c.get('caller').prefix }, 'key revoked')
    return c.body(null, 204)
  })

  async function find(c: ControlContext, id: string, named: string | undefined): Promise<ApiKey> {
    const caller = c.get('caller')
    const tenant = named === undefined ? caller.tenant : await resolveTenant(services, caller, named)
    const [key, twin] = (await stores.apiKeys.list(tenant)).filter((key) => key.id === id)
    if (!key) throw new CodedError('not_found', `There is no key ${JSON.stringify(id.slice(0, 64))}.`)
    // Older versions gave one id to the keys that one Idempotency-Key made for several tenants.
    if (twin)
      throw new CodedError('tenant_required', 'Keys of two tenants have this id.', { field: 'tenant' })
    return key
  }
}

/** What the new key is good for. @throws CodedError `invalid_field` */
function grantOf(
  caller: Caller,
  asked: z.infer<typeof NewKey>,
  tenant: TenantId | undefined,
  nowMs: number,
): Grant {
  const invalid = (field: string, what: string) =>
    new CodedError('invalid_field', `${field} ${what}`, { field })
  const sessions = asked.sessions?.map((name) => parseSessionId(name, 'sessions'))
  if (sessions && tenant === undefined) throw invalid('sessions', 'are those of a tenant; name it.')
  const expiresAt = asked.expiresAt === undefined ? caller.expiresAt : Date.parse(asked.expiresAt)
  if (expiresAt !== undefined && expiresAt <= nowMs) throw invalid('expiresAt', 'must lie ahead.')
  if (expiresAt !== undefined && expiresAt > (caller.expiresAt ?? Infinity))
    throw invalid('expiresAt', 'must not be later than that of the key which makes it.')
  return {
    scopes: asked.scopes,
    ...(tenant === undefined ? {} : { tenant }),
    ...(sessions === undefined ? {} : { sessions: [...new Set(sessions)] }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  }
}

const present = (key: ApiKey): z.infer<typeof KeySchema> => ({
  id: key.id,
  tenant: key.tenant ?? null,
  scopes: [...key.scopes],
  sessions: key.sessions ? [...key.sessions] : null,
  prefix: key.prefix,
  name: key.name,
  createdAt: iso(key.createdAt),
  expiresAt: isoOrNull(key.expiresAt),
  lastUsedAt: isoOrNull(key.lastUsedAt),
  revokedAt: isoOrNull(key.revokedAt),
})
