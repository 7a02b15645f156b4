import { z } from '@hono/zod-openapi'
import { CodedError, ERRORS, hasCode } from '#shared/errors.ts'
import type { ErrorCode } from '#shared/errors.ts'
import { importsOf } from '#shared/registry.ts'
import { HEADER_BYTES_MAX } from '#shared/sealing/age-header.ts'
import { inboundPlace, isSealedForSomebody, sealInbound, sealInboundText } from '#shared/sealing/inbound.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { ControlApp, ControlContext, Services } from '../http/context.ts'
import { credentialsOf } from '../session/credentials.ts'
import { idempotencyKey } from '../http/idempotency.ts'
import { jobIdFor, presentWithJob, requestJob } from '../session/request-job.ts'
import { answers, declare } from '../http/route.ts'
import { SessionParam, SessionWithJobSchema, flag } from '../present/schemas.ts'
import { findForChange, findSession } from '../session/session-access.ts'
import type { Found } from '../session/session-access.ts'

const PASSPHRASE = /^[\x20-\x7e]{12,256}$/
/** A Baileys folder of a busy account has thousands of files; 20 MiB of state is a large one. */
const IMPORT_BYTES_MAX = 64 * 1024 * 1024
const OCTETS = 'application/octet-stream'
const WAIT_S_MAX = 55
const POLL_MS = 200

const passphraseHeader = z.object({
  'x-passphrase': z.string().optional().openapi({
    description: '12 to 256 printable ASCII characters. It is sealed before it is stored, for a runner only.',
  }),
})

const octets = (description: string) => ({
  [OCTETS]: { schema: z.string().openapi({ format: 'binary', description }) },
})
/** Plain words and no schema of zod's, which would have all of it parsed here. */
const folder = {
  'application/json': {
    schema: {
      type: 'object' as const,
      required: ['files'],
      properties: {
        files: {
          type: 'object' as const,
          description: 'The files of a useMultiFileAuthState folder, by name, in base64.',
          additionalProperties: { type: 'string' as const, format: 'byte' },
        },
      },
    },
  },
}

/** Moving a session: out as a bundle under a passphrase, in from a bundle or from a Baileys folder. */
export function transferRoutes(app: ControlApp, services: Services): void {
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
      return { sealedPassphrase: await sealPassphrase(c, found, id) }
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

  const importInto = declare(
    services,
    { idempotent: true, upload: true },
    {
      method: 'post',
      path: '/v1/sessions/{id}/import',
      tags,
      summary: 'Give a session the credentials of a bundle or of a Baileys folder',
      description:
        'A bundle comes as octets, with X-Passphrase unless it has none; a useMultiFileAuthState folder as JSON. Either may ' +
        'be sealed with age for the recipient of GET /v1/import-key first, and comes as octets then. Over healthy ' +
        'credentials it needs force=true. A runner checks it; see the job.',
      request: {
        params: SessionParam,
        headers: passphraseHeader,
        query: z.object({
          force: flag,
          cleanlyStopped: flag.openapi({
            description: 'The old process ended in order and nothing has used the folder since.',
          }),
        }),
        body: { content: { ...folder, ...octets('A bundle, or what is sealed for the import key.') } },
      },
      responses: { 202: answers(SessionWithJobSchema, 'The session, and the job that a runner will do') },
    },
  )
  app.openapi(importInto, async (c) => {
    const { force, cleanlyStopped } = c.req.valid('query')
    const found = await findForChange(services, c)
    if (!force && credentialsOf(found.session) === 'good') {
      throw new CodedError('newer_state', 'The session has healthy credentials.')
    }
    const id = jobIdFor(services, c, found, 'import')
    const earlier = await stores.jobs.get(found.key, id)
    if (earlier) return c.json(await presentWithJob(services, c, found, earlier), 202)

    if (!c.req.raw.body) throw new CodedError('invalid_body', 'There is no bundle and no folder.')
    const hasPassphrase = c.req.header('x-passphrase') !== undefined
    const secret = hasPassphrase ? { sealedPassphrase: await sealPassphrase(c, found, id) } : {}
    const stored = await storeImport(c, found, id, c.req.raw.body)
    const job = await requestJob(services, c, found, {
      kind: 'import',
      id,
      args: { ...stored, force, cleanlyStopped, ...secret },
    }).catch(async (error: unknown) => {
      // No job will ever come for it.
      if (hasCode(error, 'limit_reached')) await stores.blobs.remove(stored.object)
      throw error
    })
    return c.json(await presentWithJob(services, c, found, job), 202)
  })

  const importKey = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/import-key',
      tags,
      summary: 'The age recipient that imports can be sealed for',
      description: 'Only runners can open what is sealed for it: age -r {recipient} -o sealed.age bundle',
      responses: { 200: answers(z.object({ recipient: z.string() }), 'An age recipient') },
    },
  )
  app.openapi(importKey, async (c) => c.json({ recipient: await services.transfer.recipient() }, 200))

  /** Straight on, piece by piece: control never has all of it, and can't open what it stored. */
  async function storeImport(
    c: ControlContext,
    found: Found,
    id: string,
    body: ReadableStream<Uint8Array>,
  ): Promise<{ object: string; sealedBy: 'control' | 'sender' }> {
    const object = `${importsOf(found.key)}${id}`
    const { beginning, all } = await peek(counted(body))
    if (beginning.length === 0) throw new CodedError('bad_import', 'Nothing was sent.')
    const sealedBy = isSealedForSomebody(beginning) ? 'sender' : 'control'
    const recipient = await services.transfer.recipient()
    const sealed =
      sealedBy === 'sender' ? all : sealInbound(all, recipient, inboundPlace(found.key, id, 'import'))
    try {
      await stores.blobs.create(object, sealed)
    } catch (error) {
      // A repeat under the same Idempotency-Key, whose first attempt came this far.
      if (!hasCode(error, 'blob_exists') || idempotencyKey(c) === undefined) throw error
    }
    return { object, sealedBy }
  }

  async function sealPassphrase(c: ControlContext, found: Found, jobId: string): Promise<string> {
    const passphrase = c.req.header('x-passphrase') ?? ''
    if (!PASSPHRASE.test(passphrase)) {
      throw new CodedError('invalid_field', 'X-Passphrase must be 12 to 256 printable ASCII characters.', {
        field: 'X-Passphrase',
      })
    }
    const place = inboundPlace(found.key, jobId, 'passphrase')
    return sealInboundText(passphrase, await services.transfer.recipient(), place)
  }
}

/** What was sent, while it is within the limit. @throws CodedError `too_large`, `invalid_body` when it breaks off */
async function* counted(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  let left = IMPORT_BYTES_MAX
  const pieces = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { value, done } = await pieces.next().catch((cause: unknown) => {
        throw new CodedError('invalid_body', 'The upload broke off.', { cause })
      })
      if (done) return
      left -= value.length
      if (left < 0) throw new CodedError('too_large', `An import has at most ${IMPORT_BYTES_MAX} bytes.`)
      yield value
    }
  } finally {
    // Whatever is left of it is not wanted.
    await pieces.return?.().catch(() => undefined)
  }
}

/** As much of the beginning as says what it is, and all of it from there. */
async function peek(
  pieces: AsyncGenerator<Uint8Array>,
): Promise<{ beginning: Buffer; all: AsyncGenerator<Uint8Array> }> {
  const held: Uint8Array[] = []
  let beginning = Buffer.alloc(0)
  while (beginning.length < HEADER_BYTES_MAX) {
    const { value, done } = await pieces.next()
    if (done) break
    held.push(value)
    beginning = Buffer.concat([beginning, value.subarray(0, HEADER_BYTES_MAX - beginning.length)])
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    yield* held
    yield* pieces
  }
  return { beginning, all: all() }
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
