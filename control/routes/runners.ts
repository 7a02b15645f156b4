import { z } from '@hono/zod-openapi'
import { parseRunnerId } from '#shared/ids.ts'
import type { ControlApp, Services } from '../http/context.ts'
import { iso } from '../present/present.ts'
import { answers, declare } from '../http/route.ts'
import { Time, pageOf } from '../present/schemas.ts'

const RunnerSchema = z
  .object({
    id: z.string(),
    alive: z.boolean().openapi({ description: 'Its lease is good.' }),
    draining: z.boolean(),
    held: z.int().openapi({ description: 'Sessions it holds.' }),
    capacity: z.int(),
    version: z.string(),
    startedAt: Time,
    renewedAt: Time,
    leaseForMs: z.int(),
  })
  .openapi('Runner')

/** The processes that hold sockets, for the operator. */
export function runnerRoutes(app: ControlApp, services: Services): void {
  const tags = ['operation']

  const list = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/runners',
      tags,
      summary: 'List runners',
      responses: { 200: answers(pageOf(RunnerSchema), 'The runners, also those whose lease ran out') },
    },
  )
  app.openapi(list, async (c) => {
    const { runners } = await services.fleet.view()
    const items = runners.map(({ id, alive, draining, held, capacity, version, leaseForMs, ...times }) => ({
      id,
      alive,
      draining,
      held,
      capacity,
      version,
      startedAt: iso(times.startedAt),
      renewedAt: iso(times.renewedAt),
      leaseForMs,
    }))
    return c.json({ items }, 200)
  })

  const drain = declare(
    services,
    {},
    {
      method: 'post',
      path: '/v1/runners/{runner}/drain',
      tags,
      summary: 'Have a runner hand all its sessions over',
      description:
        'Idempotent. A runner that drains takes no more sessions; when all are handed over its process ends with exit code 0, ' +
        'and the supervisor (Cloud Run, systemd, Kubernetes …) starts a new one where it is set to. While it lasts, DELETE ' +
        'takes it back.',
      request: { params: z.object({ runner: z.string() }) },
      responses: { 202: answers(z.object({ id: z.string(), draining: z.literal(true) }), 'It will drain') },
    },
  )
  app.openapi(drain, async (c) => {
    const id = parseRunnerId(c.req.valid('param').runner)
    await services.stores.runners.drain(id)
    c.get('log').info({ runnerId: id, by: c.get('caller').prefix }, 'runner asked to drain')
    return c.json({ id, draining: true } as const, 202)
  })

  const resume = declare(
    services,
    {},
    {
      method: 'delete',
      path: '/v1/runners/{runner}/drain',
      tags,
      summary: 'Take a drain back while it lasts',
      description:
        'Idempotent. What was handed over already stays where it is; a drain that the runner began by itself (SIGTERM) goes ' +
        'on. 404 once the runner has ended.',
      request: { params: z.object({ runner: z.string() }) },
      responses: { 202: answers(z.object({ id: z.string(), draining: z.literal(false) }), 'It goes on') },
    },
  )
  app.openapi(resume, async (c) => {
    const id = parseRunnerId(c.req.valid('param').runner)
    await services.stores.runners.resume(id)
    c.get('log').info({ runnerId: id, by: c.get('caller').prefix }, 'drain of a runner taken back')
    return c.json({ id, draining: false } as const, 202)
  })
}
