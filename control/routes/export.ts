import { z } from '@hono/zod-openapi'
import { CodedError, ERRORS, hasCode } from '#shared/errors.ts'
import type { ErrorCode } from '#shared/errors.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { ControlApp, ControlContext, Services } from '../http/context.ts'
import { answers, declare } from '../http/route.ts'
import { SessionParam, SessionWithJobSchema } from '../present/schemas.ts'
import { credentialsOf } from '../session/credentials.ts'
import { OCTETS, octets, passphraseHeader, sealPassphrase } from '../session/passphrase.ts'
import { jobIdFor, presentWithJob, requestJob } from '../session/request-job.ts'
import { findForChange, findSession } from '../session/session-access.ts'
import type { Found } from '../session/session-access.ts'

const WAIT_S_MAX = 55
const POLL_MS = 200

/** Moving a session out, as a bundle under a passphrase or for people whom the operator named. */
export function exportRoutes(app: ControlApp, services: Services): void {
  const tags = ['backups']
  const { stores } = services

  const startExport = declare(
    services,
    { idempotent: true },
    {
      method: 'post',
      path: '/v1/sessions/{id}/export',
      tags,
      summary: 'Start an export',
      description: 'Fetch the bundle with GET …/export?job={job} when the job is done.',
      request: { params: SessionParam, headers: passphraseHeader },
      responses: { 202: answers(SessionWithJobSchema, 'The session, and the job that a runner will do') },
    },
  )
  app.openapi(startExport, async (c) => {
    const found = await findForChange(services, c)
    return c.json(await presentExport(c, found, await requestExport(c, found)), 202)
  })

  const download = declare(
    services,
    { idempotent: true },
    {
      method: 'get',
      path: '/v1/sessions/{id}/export',
      tags,
      summary: 'Export a session as one file, sealed under your passphrase',
      description:
        'With ?job= the bundle of that job; without it an export is started, with X-Passphrase. Either way the answer ' +
        'waits up to ?wait= seconds for the bundle, and is a 202 with the job when it is not ready then.',
      request: {
        params: SessionParam,
        headers: passphraseHeader,
        query: z.object({
          job: z.string().max(64).optional(),
          wait: z.coerce.number().int().min(0).max(WAIT_S_MAX).default(20),
        }),
      },
      responses: {
        200: { description: 'The bundle, an age file', content: octets('A bundle in an age file.') },
        202: answers(SessionWithJobSchema, 'Not ready yet; ask again with ?job='),
      },
    },
  )
  app.openapi(download, async (c) => {
    const { job: jobId, wait } = c.req.valid('query')
    const found = await (jobId === undefined ? findForChange(services, c) : findSession(services, c))
    const asked = jobId === undefined ? await requestExport(c, found) : await findExport(found, jobId)
    const job = await waitFor(c, found, asked, wait)
    if (job.state === 'open') return c.json(await presentExport(c, found, job), 202)
    if (job.state === 'failed') throw failureOf(job)
    return sendBundle(c, found, job)
  })

  async function requestExport(c: ControlContext, found: Found): Promise<Job> {
    if (credentialsOf(found.session) === 'none') {
      throw new CodedError('no_state', 'There is nothing to export: the session was never paired.')
    }
    const id = jobIdFor(services, c, found, 'export')
    return requestJob(services, c, found, { kind: 'export', id, args: await exportArgs(c, found, id) })
  }

  async function exportArgs(c: ControlContext, found: Found, id: string): Promise<Job['args']> {
    if (services.transfer.exportTo === 'passphrase')
      return { sealedPassphrase: await sealPassphrase(services, c, found, id) }
    if (c.req.header('x-passphrase') !== undefined)
      throw new CodedError(
        'export_off',
        'X-Passphrase is not taken here: exports are sealed for the operator.',
      )
    return {}
  }

  async function findExport(found: Found, id: string): Promise<Job> {
    const job = await stores.jobs.get(found.key, id)
    if (job?.kind !== 'export') throw new CodedError('not_found', 'The session has no such export.')
    return job
  }

  async function waitFor(c: ControlContext, found: Found, asked: Job, waitS: number): Promise<Job> {
    const untilMs = services.clock.monotonicMs() + waitS * 1000
    let job = asked
    while (job.state === 'open' && services.clock.monotonicMs() < untilMs && !c.req.raw.signal.aborted) {
      await services.clock.sleep(POLL_MS)
      job = (await stores.jobs.get(found.key, job.id)) ?? job
    }
    return job
  }

  async function presentExport(c: ControlContext, found: Found, job: Job) {
    const answer = await presentWithJob(services, c, found, job)
    c.header('Location', `/v1/sessions/${found.session.id}/export?job=${job.id}`)
    return answer
  }

  async function sendBundle(c: ControlContext, found: Found, job: Job): Promise<Response> {
    const object = job.result?.['object']
    if (typeof object !== 'string') throw new CodedError('blob_missing', 'The export left no bundle.')
    const pieces = stores.blobs.read(object)[Symbol.asyncIterator]()
    // The first piece is fetched before the answer begins, so that a bundle that is gone is a problem, not a torn download.
    const first = await pieces.next().catch((cause: unknown) => {
      if (!hasCode(cause, 'blob_missing')) throw cause
      throw new CodedError('not_found', 'The bundle was removed; export the session again.', { cause })
    })
    return c.body(streamOf(first, pieces), 200, {
      'content-type': OCTETS,
      'content-disposition': `attachment; filename="${found.session.tenant}-${found.session.id}.mooring.age"`,
    })
  }
}

/** What a runner said of a job that failed, as if it had happened here. */
function failureOf(job: Job): CodedError {
  const code = job.error?.code ?? ''
  const known = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'conflict'
  return new CodedError(known, `The export failed: ${job.error?.detail ?? 'no reason was given'}.`)
}

function streamOf(
  first: IteratorResult<Uint8Array>,
  rest: AsyncIterator<Uint8Array>,
): ReadableStream<Uint8Array> {
  let next: IteratorResult<Uint8Array> | undefined = first
  return new ReadableStream({
    async pull(controller) {
      const piece = next ?? (await rest.next())
      next = undefined
      if (piece.done) controller.close()
      else controller.enqueue(piece.value)
    },
    async cancel() {
      await rest.return?.()
    },
  })
}
