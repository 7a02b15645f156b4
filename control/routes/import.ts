import { z } from '@hono/zod-openapi'
import { CodedError, hasCode } from '#shared/errors.ts'
import { importsOf } from '#shared/registry.ts'
import { HEADER_BYTES_MAX } from '#shared/sealing/age-header.ts'
import { inboundPlace, isSealedForSomebody, sealInbound } from '#shared/sealing/inbound.ts'
import type { ControlApp, ControlContext, Services } from '../http/context.ts'
import { idempotencyKey } from '../http/idempotency.ts'
import { answers, declare } from '../http/route.ts'
import { SessionParam, SessionWithJobSchema, flag } from '../present/schemas.ts'
import { credentialsOf } from '../session/credentials.ts'
import { octets, passphraseHeader, sealPassphrase } from '../session/passphrase.ts'
import { jobIdFor, presentWithJob, requestJob } from '../session/request-job.ts'
import { findForChange } from '../session/session-access.ts'
import type { Found } from '../session/session-access.ts'

/** A Baileys folder of a busy account has thousands of files; 20 MiB of state is a large one. */
const IMPORT_BYTES_MAX = 64 * 1024 * 1024
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

/** Moving a session in, from a bundle or from a Baileys folder. */
export function importRoutes(app: ControlApp, services: Services): void {
  const tags = ['backups']
  const { stores } = services

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
    const secret = hasPassphrase ? { sealedPassphrase: await sealPassphrase(services, c, found, id) } : {}
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
