import { z } from '@hono/zod-openapi'
import type { ControlApp, Services } from '../http/context.ts'
import { presentEvent } from '../present/present.ts'
import { answers, declare } from '../http/route.ts'
import { PageQuery, SessionParam, Time, pageOf } from '../present/schemas.ts'
import { findSession } from '../session/session-access.ts'

const EventSchema = z
  .object({
    id: z.string().openapi({ description: 'Sorts as it happened.' }),
    at: Time,
    tenant: z.string(),
    session: z.string().optional().openapi({ description: 'Absent for what is told of the tenant itself.' }),
    kind: z.string().openapi({ example: 'phase' }),
    from: z.string().optional(),
    to: z.string().optional(),
    why: z.string().optional(),
    code: z.int().optional(),
    by: z.string().openapi({ description: 'A runner, or `control:` and how the key begins.' }),
    epoch: z.int().optional(),
    detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  })
  .openapi('Event')

/** The audit trail of one session: every connection, every decision, every request that changed something. */
export function eventRoutes(app: ControlApp, services: Services): void {
  const list = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/sessions/{id}/events',
      tags: ['events'],
      summary: 'What happened to a session',
      description: 'The newest first, kept for 30 days.',
      request: { params: SessionParam, query: PageQuery },
      responses: { 200: answers(pageOf(EventSchema), 'The events') },
    },
  )
  app.openapi(list, async (c) => {
    const { after, limit } = c.req.valid('query')
    const { key } = await findSession(services, c)
    const page = await services.stores.events.list(key, { limit, ...(after === undefined ? {} : { after }) })
    const items = page.items.map((event) => presentEvent(key, event))
    return c.json({ items, ...(page.next === undefined ? {} : { next: page.next }) }, 200)
  })
}
