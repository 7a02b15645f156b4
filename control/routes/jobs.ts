import { z } from '@hono/zod-openapi'
import { CodedError } from '#shared/errors.ts'
import type { Job, JobKind } from '#shared/store/job-store.ts'
import { byOf, noteChange } from '../http/audit.ts'
import type { ControlApp, ControlContext, Kit } from '../http/context.ts'
import { idFor, idempotencyKey } from '../http/idempotency.ts'
import { presentJob } from '../present/present.ts'
import type { PresentedSession } from '../present/present.ts'
import { answers, declare } from '../http/route.ts'
import { JobSchema, SessionParam } from '../present/schemas.ts'
import { findSession, present } from '../session/session-access.ts'
import type { Found } from '../session/session-access.ts'

/** The id that a job of this request will have: the same for a repeat with the same `Idempotency-Key`. */
export const jobIdFor = (kit: Kit, c: ControlContext, found: Found, kind: JobKind): string =>
  idFor(c, kit.random, 'job', found.key, kind)

/**
 * Asks the session's owner for something once. With `shareOpen` a job of the same kind that is open already is the
 * answer: two people who press "log out" want one logout.
 */
export async function requestJob(
  kit: Kit,
  c: ControlContext,
  found: Found,
  ask: { kind: JobKind; id?: string; args?: Job['args']; shareOpen?: boolean },
): Promise<Job> {
  // Not under an Idempotency-Key: a repeat must find the job again after it has ended, so it needs one of its own.
  if (ask.shareOpen && idempotencyKey(c) === undefined) {
    const open = await kit.stores.jobs.open(found.key)
    const same = open.find((job) => job.kind === ask.kind)
    if (same) return same
  }
  const id = ask.id ?? jobIdFor(kit, c, found, ask.kind)
  const earlier = await kit.stores.jobs.get(found.key, id)
  if (earlier) return earlier
  const job = await kit.stores.jobs.create(found.key, {
    id,
    kind: ask.kind,
    args: ask.args ?? {},
    state: 'open',
    createdAt: kit.clock.nowMs(),
    by: byOf(c),
  })
  await noteChange(kit, c, found.key, { kind: 'job', to: 'open', why: ask.kind, detail: { job: id } })
  return job
}

/** What a 202 for a job says. */
export async function presentWithJob(
  kit: Kit,
  c: ControlContext,
  found: Found,
  job: Job,
): Promise<PresentedSession & { job: string }> {
  c.header('Location', `/v1/sessions/${found.session.id}/jobs/${job.id}`)
  return { ...(await present(kit, c, found)), job: job.id }
}

const JobParam = SessionParam.extend({ job: z.string().max(64) })

export function jobRoutes(app: ControlApp, kit: Kit): void {
  const get = declare(
    kit,
    { scope: 'read', of: 'tenant' },
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
    const { key } = await findSession(kit, c)
    const id = c.req.valid('param').job
    const job = await kit.stores.jobs.get(key, id)
    if (!job) throw new CodedError('not_found', `The session has no job ${JSON.stringify(id)}.`)
    return c.json(presentJob(job), 200)
  })
}
