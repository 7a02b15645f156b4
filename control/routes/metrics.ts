import { z } from '@hono/zod-openapi'
import type { ControlApp, Services } from '../http/context.ts'
import { declare } from '../http/route.ts'

/** `/metrics`, for Prometheus. It counts the sessions of all tenants, so it takes a key of the operator. */
export function metricsRoutes(app: ControlApp, services: Services): void {
  const get = declare(
    services,
    {},
    {
      method: 'get',
      path: '/metrics',
      tags: ['operation'],
      summary: 'Metrics for Prometheus',
      description:
        'With a key of the operator; make one with only `read` for it: POST /v1/keys {"tenant": null, "scopes": ["read"]}.',
      responses: {
        200: { description: 'Metrics', content: { 'text/plain': { schema: z.string() } } },
      },
    },
  )
  app.openapi(get, async (c) => {
    await services.metrics.count()
    return c.text(await services.metrics.registry.metrics(), 200, {
      'content-type': services.metrics.registry.contentType,
    })
  })
}
