import { z } from '@hono/zod-openapi'
import { CodedError } from '#shared/errors.ts'
import type { ControlApp, Services } from '../http/context.ts'
import { presentJob } from '../present/present.ts'
import { answers, declare } from '../http/route.ts'
import { JobSchema, SessionParam } from '../present/schemas.ts'
import { findSession } from '../session/session-access.ts'

const JobParam = SessionParam.extend({ job: z.string().max(64) })

export function jobRoutes(app: ControlApp, services: Services): void {
  const get = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/sessions/{id}/jobs/{job}',
      tags: ['sessions'],
      summary: 'How a job goes',
      description:
        'Logout, reset, snapshot, restore, export, import and rotate-keys are done by a runner, as jobs.',
      request: { params: JobParam },
      responses: { 200: answers(JobSchema, 'The job') },
    },
  )
  app.openapi(get, async (c) => {
    const { key } = await findSession(services, c)
    const id = c.req.valid('param').job
    const job = await services.stores.jobs.get(key, id)
    if (!job) throw new CodedError('not_found', `The session has no job ${JSON.stringify(id)}.`)
    return c.json(presentJob(job), 200)
  })
}
