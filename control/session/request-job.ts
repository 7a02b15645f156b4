import type { Job, JobKind } from '#shared/store/job-store.ts'
import { byOf, noteChange } from '../http/audit.ts'
import type { ControlContext, Services } from '../http/context.ts'
import { idFor, idempotencyKey } from '../http/idempotency.ts'
import type { PresentedSession } from '../present/present.ts'
import { present } from './session-access.ts'
import type { Found } from './session-access.ts'

/** The id that a job of this request will have: the same for a repeat with the same `Idempotency-Key`. */
export const jobIdFor = (services: Services, c: ControlContext, found: Found, kind: JobKind): string =>
  idFor(c, services.random, 'job', found.key, kind)

/**
 * Asks the session's owner for something once. With `shareOpen` a job of the same kind that is open already is the
 * answer: two people who press "log out" want one logout.
 */
export async function requestJob(
  services: Services,
  c: ControlContext,
  found: Found,
  ask: { kind: JobKind; id?: string; args?: Job['args']; shareOpen?: boolean },
): Promise<Job> {
  // Not under an Idempotency-Key: a repeat must find the job again after it has ended, so it needs one of its own.
  if (ask.shareOpen && idempotencyKey(c) === undefined) {
    const open = await services.stores.jobs.open(found.key)
    const same = open.find((job) => job.kind === ask.kind)
    if (same) return same
  }
  const id = ask.id ?? jobIdFor(services, c, found, ask.kind)
  const earlier = await services.stores.jobs.get(found.key, id)
  if (earlier) return earlier
  const job = await services.stores.jobs.create(found.key, {
    id,
    kind: ask.kind,
    args: ask.args ?? {},
    state: 'open',
    createdAt: services.clock.nowMs(),
    by: byOf(c),
  })
  await noteChange(services, c, found.key, { kind: 'job', to: 'open', why: ask.kind, detail: { job: id } })
  return job
}

/** What a 202 for a job says. */
export async function presentWithJob(
  services: Services,
  c: ControlContext,
  found: Found,
  job: Job,
): Promise<PresentedSession & { job: string }> {
  c.header('Location', `/v1/sessions/${found.session.id}/jobs/${job.id}`)
  return { ...(await present(services, c, found)), job: job.id }
}
