import { isDeepStrictEqual } from 'node:util'
import { z } from '@hono/zod-openapi'
import { CodedError, hasCode } from '#shared/errors.ts'
import { parseTenantId } from '#shared/ids.ts'
import type { TenantId } from '#shared/ids.ts'
import { allowedOf, TENANT_QUOTAS, type TenantLimits, type TenantQuota } from '#shared/quotas.ts'
import type { Tenant } from '#shared/store/tenant-store.ts'
import { noTenant } from '../http/auth.ts'
import type { ControlApp, ControlContext, Services } from '../http/context.ts'
import { idempotencyKey } from '../http/idempotency.ts'
import { defined, iso } from '../present/present.ts'
import { answers, body, declare } from '../http/route.ts'
import { hideRemains } from '../session/hide-remains.ts'
import { Time, pageOf } from '../present/schemas.ts'

/** A number for each quota that is of a tenant, however it is asked for. */
const limitsOf = <S extends z.ZodType>(one: S) =>
  Object.fromEntries(TENANT_QUOTAS.map((quota) => [quota, one])) as Record<TenantQuota, S>

const limit = z.int().min(0).max(1_000_000_000)

const NewLimits = z.strictObject(limitsOf(limit.optional())).openapi({
  description: 'What is left out is as for every tenant.',
})

const TenantSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    limits: z.object(limitsOf(z.int())).openapi({ description: 'What it may have, of each quota.' }),
    createdAt: Time,
  })
  .openapi('Tenant')

const QuotaSchema = z
  .object({
    used: z.int().nullable().openapi({ description: 'null for a rate, of which nothing is kept.' }),
    allowed: z.int(),
    kind: z.enum(['exact', 'per_process', 'approximate']).openapi({
      description:
        'exact: counted with what it counts, never passed. per_process: of the process that answers, which has its share. ' +
        'approximate: counted every two seconds; several processes together may pass it by what they take in between.',
    }),
  })
  .openapi('Quota')

const TenantWithQuotasSchema = TenantSchema.extend({
  quotas: z.object(limitsOf(QuotaSchema)).openapi({ description: 'How much is taken of each.' }),
}).openapi('TenantWithQuotas')

const NewTenant = z.strictObject({
  id: z.string().openapi({ example: 'acme' }),
  name: z.string().min(1).max(200).optional().openapi({ example: 'ACME Corporation' }),
  limits: NewLimits.optional(),
})

const TenantPatch = z.strictObject({
  name: z.string().min(1).max(200).optional(),
  limits: z.strictObject(limitsOf(limit.nullable().optional())).optional().openapi({
    description: 'What is not named stays; null: as for every tenant. What is above a lowered limit stays.',
  }),
})

const TenantParam = z.object({ tenant: z.string() })

/** Tenants: the customers of the operator, who alone makes and removes them. */
export function tenantRoutes(app: ControlApp, services: Services): void {
  const tags = ['tenants']
  const { stores } = services

  const create = declare(
    services,
    { idempotent: true },
    {
      method: 'post',
      path: '/v1/tenants',
      tags,
      summary: 'Create a tenant',
      request: { body: body(NewTenant) },
      responses: { 201: answers(TenantSchema, 'The tenant') },
    },
  )
  app.openapi(create, async (c) => {
    const asked = c.req.valid('json')
    const id = parseTenantId(asked.id, 'id')
    const tenant: Tenant = {
      id,
      name: asked.name ?? id,
      limits: defined(asked.limits ?? {}),
      createdAt: services.clock.nowMs(),
    }
    c.header('Location', `/v1/tenants/${id}`)
    return c.json(present(await createOnce(c, tenant)), 201)
  })

  /** With an `Idempotency-Key` a tenant that is there, just as it was asked for, is the answer of the first attempt. */
  async function createOnce(c: ControlContext, tenant: Tenant): Promise<Tenant> {
    const mayRepeat = idempotencyKey(c) !== undefined
    try {
      await stores.tenants.create(tenant)
      return tenant
    } catch (error) {
      if (!mayRepeat || !hasCode(error, 'exists')) throw error
      const there = await stores.tenants.get(tenant.id)
      if (there?.name !== tenant.name || !isDeepStrictEqual(there.limits, tenant.limits)) throw error
      return there
    }
  }

  const list = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/tenants',
      tags,
      summary: 'List tenants',
      description: 'A key of a tenant sees its own.',
      responses: { 200: answers(pageOf(TenantSchema), 'The tenants, by id') },
    },
  )
  app.openapi(list, async (c) => {
    const own = c.get('caller').tenant
    const all = await stores.tenants.list()
    return c.json({ items: all.filter((tenant) => own === undefined || tenant.id === own).map(present) }, 200)
  })

  const get = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/tenants/{tenant}',
      tags,
      summary: 'One tenant, and how much it has of what it may have',
      request: { params: TenantParam },
      responses: { 200: answers(TenantWithQuotasSchema, 'The tenant') },
    },
  )
  app.openapi(get, async (c) => {
    const tenant = await find(c, c.req.valid('param').tenant)
    return c.json({ ...present(tenant), quotas: await services.quotas.uses(tenant.id) }, 200)
  })

  const patch = declare(
    services,
    {},
    {
      method: 'patch',
      path: '/v1/tenants/{tenant}',
      tags,
      summary: 'Change the name or the limits of a tenant',
      description: 'A limit holds at once where it is exact, and within a minute elsewhere.',
      request: { params: TenantParam, body: body(TenantPatch) },
      responses: { 200: answers(TenantSchema, 'The tenant') },
    },
  )
  app.openapi(patch, async (c) => {
    const asked = c.req.valid('json')
    const { id } = await find(c, c.req.valid('param').tenant)
    const changed = await stores.tenants.change(id, (tenant) => ({
      name: asked.name ?? tenant.name,
      limits: withLimits(tenant.limits, asked.limits ?? {}),
    }))
    services.quotas.forget(id)
    c.get('log').info({ tenant: id, keyPrefix: c.get('caller').prefix }, 'tenant changed')
    return c.json(present(changed), 200)
  })

  const remove = declare(
    services,
    {},
    {
      method: 'delete',
      path: '/v1/tenants/{tenant}',
      tags,
      summary: 'Remove a tenant without sessions',
      description:
        'Its keys are revoked, and what is kept of its deleted sessions is destroyed. While it has sessions this is refused: ' +
        'delete those first.',
      request: { params: TenantParam },
      responses: { 204: { description: 'It is gone' } },
    },
  )
  app.openapi(remove, async (c) => {
    const { id } = await find(c, c.req.valid('param').tenant)
    const { items } = await stores.sessions.list({ tenant: id, limit: 1 })
    if (items.length > 0) {
      throw new CodedError('conflict', `The tenant ${id} still has sessions; delete them first.`)
    }
    // The keys go first: should the second half fail, nobody is left who could make a session for a tenant without a record.
    for (const key of await stores.apiKeys.list(id)) {
      if (key.revokedAt === undefined) await stores.apiKeys.revoke(key.sha256, services.clock.nowMs())
    }
    await hideRemains(stores, id)
    await stores.tenants.remove(id)
    c.get('log').info({ tenant: id, keyPrefix: c.get('caller').prefix }, 'tenant removed')
    return c.body(null, 204)
  })

  async function find(c: ControlContext, named: string): Promise<Tenant> {
    const own: TenantId | undefined = c.get('caller').tenant
    const id = parseTenantId(named)
    const tenant = own === undefined || own === id ? await stores.tenants.get(id) : undefined
    if (!tenant) throw noTenant(named)
    return tenant
  }
}

/** As JSON merge patch (RFC 7396): what is not named stays, `null` removes. */
function withLimits(
  limits: TenantLimits,
  patch: NonNullable<z.infer<typeof TenantPatch>['limits']>,
): TenantLimits {
  const entries = Object.entries({ ...limits, ...defined(patch) })
  return Object.fromEntries(entries.filter(([, number]) => number !== null))
}

const present = (tenant: Tenant): z.infer<typeof TenantSchema> => ({
  id: tenant.id,
  name: tenant.name,
  limits: Object.fromEntries(
    TENANT_QUOTAS.map((quota) => [quota, allowedOf(tenant.limits, quota)]),
  ) as Record<TenantQuota, number>,
  createdAt: iso(tenant.createdAt),
})
