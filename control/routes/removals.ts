import { z } from '@hono/zod-openapi'
import { CodedError } from '#shared/errors.ts'
import { parseSessionId, sessionKey, tenantTrail } from '#shared/ids.ts'
import type { LifeId, SessionKey, TenantId } from '#shared/ids.ts'
import type { AuditEvent } from '#shared/store/event-store.ts'
import type { ControlApp, Services } from '../http/context.ts'
import { answers, declare } from '../http/route.ts'
import { iso } from '../present/present.ts'
import { RemovalSchema, presentRemoval } from '../present/removal.ts'
import { PageQuery, pageOf } from '../present/schemas.ts'

const LIFE = /^[a-z0-9]{1,64}$/
/** How far back the tenant's trail is looked through for what was purged. */
const TRAIL_PAGES_MAX = 10
const TRAIL_PAGE = 500

const RemovalParam = z.object({
  id: z.string().max(200).openapi({ description: 'As a deletion named it.', example: 'support~k3v7q2' }),
})

/** What becomes of sessions that were deleted. */
export function removalRoutes(app: ControlApp, services: Services): void {
  const tags = ['sessions']
  const { stores } = services

  const list = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/removals',
      tags,
      summary: 'List what was deleted in the last 30 days',
      description: 'Without what was purged.',
      request: { query: PageQuery },
      responses: { 200: answers(pageOf(RemovalSchema), 'The removals, by name') },
    },
  )
  app.openapi(list, async (c) => {
    const { after, limit } = c.req.valid('query')
    const tenant = c.get('tenant')
    const page = await stores.removals.list({ tenant, limit, ...(after === undefined ? {} : { after }) })
    const items = page.items.map(presentRemoval)
    return c.json({ items, ...(page.next === undefined ? {} : { next: page.next }) }, 200)
  })

  const get = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/removals/{id}',
      tags,
      summary: 'How a deletion goes, or went',
      description:
        'For 30 days. Of what was purged only one line of the audit trail is left, which this answers from.',
      request: { params: RemovalParam },
      responses: { 200: answers(RemovalSchema, 'The removal') },
    },
  )
  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param')
    const tenant = c.get('tenant')
    const removal = await stores.removals.get(keyOfRemoval(tenant, id))
    if (removal && !removal.tenantGone) return c.json(presentRemoval(removal), 200)
    const line = await lastLine(tenant, id)
    if (!line) throw noRemoval(id)
    return c.json(presentLine(tenant, id, line), 200)
  })

  async function lastLine(tenant: TenantId, id: string): Promise<AuditEvent | undefined> {
    let after: string | undefined
    for (let pages = 0; pages < TRAIL_PAGES_MAX; pages++) {
      const ask = { limit: TRAIL_PAGE, ...(after === undefined ? {} : { after }) }
      const page = await stores.events.list(tenantTrail(tenant), ask)
      const line = page.items.find(({ kind, detail }) => kind === 'removal' && detail?.['removal'] === id)
      if (line || page.next === undefined) return line
      after = page.next
    }
    return undefined
  }
}

/** @throws CodedError `not_found` for what can be no id of a removal */
function keyOfRemoval(tenant: TenantId, id: string): SessionKey {
  const [name = '', life, ...rest] = id.split('~')
  if (rest.length > 0 || (life !== undefined && !LIFE.test(life))) throw noRemoval(id)
  return sessionKey(tenant, parseSessionId(name), life as LifeId | undefined)
}

const noRemoval = (id: string): CodedError =>
  new CodedError('not_found', `There is no removal ${JSON.stringify(id.slice(0, 200))}.`)

function presentLine(
  tenant: TenantId,
  id: string,
  { by, why, at, detail }: AuditEvent,
): z.infer<typeof RemovalSchema> {
  const [session = '', life] = id.split('~')
  const deletedAt = detail?.['deletedAt']
  return {
    id,
    tenant,
    session,
    life: life ?? null,
    phase: 'purged',
    reason: why ?? null,
    purge: true,
    by,
    at: iso(typeof deletedAt === 'number' ? deletedAt : at),
    backup: null,
    until: null,
  }
}
