import { z } from '@hono/zod-openapi'
import { CodedError } from '#shared/errors.ts'
import { keyOf, parseSessionId, splitKey } from '#shared/ids.ts'
import type { Backup } from '#shared/store/backup-store.ts'
import type { ControlApp, ControlContext, Services } from '../http/context.ts'
import { answers, body, declare } from '../http/route.ts'
import { iso } from '../present/present.ts'
import { PageQuery, SessionWithJobSchema, Time, pageOf } from '../present/schemas.ts'
import { createOnce } from '../session/create.ts'
import { presentWithJob, requestJob } from '../session/request-job.ts'

const BackupSchema = z
  .object({
    id: z.string(),
    tenant: z.string(),
    session: z.string().openapi({ description: 'The name that it had.' }),
    life: z.string().nullable(),
    label: z.string(),
    jid: z.string().nullable(),
    bytes: z.int(),
    at: Time,
    expiresAt: Time,
  })
  .openapi('Backup')

const BackupParam = z.object({ id: z.string().max(64) })
const Restore = z.strictObject({
  as: z.string().openapi({ description: 'The name of the session that is made of it; it must be free.' }),
})

/** What deleted sessions left: list, make a session of it, destroy. */
export function backupRoutes(app: ControlApp, services: Services): void {
  const tags = ['backups']
  const { stores, clock } = services

  const list = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/backups',
      tags,
      summary: 'List what is kept of deleted sessions',
      description:
        'Each for 30 days. The backups of a session that exists are at /v1/sessions/{id}/snapshots.',
      request: { query: PageQuery },
      responses: { 200: answers(pageOf(BackupSchema), 'The backups') },
    },
  )
  app.openapi(list, async (c) => {
    const { after, limit } = c.req.valid('query')
    const tenant = c.get('tenant')
    const page = await stores.backups.list({ tenant, limit, ...(after === undefined ? {} : { after }) })
    const items = page.items.map(presentBackup)
    return c.json({ items, ...(page.next === undefined ? {} : { next: page.next }) }, 200)
  })

  const restore = declare(
    services,
    { idempotent: true },
    {
      method: 'post',
      path: '/v1/backups/{id}/restore',
      tags,
      summary: 'Make a session of what a deleted one left',
      description:
        'Under any free name. The device that it was is unlinked if WhatsApp confirmed that; then the session is logged ' +
        'out as soon as it connects, and a phone has to be linked anew.',
      request: { params: BackupParam, body: body(Restore) },
      responses: { 202: answers(SessionWithJobSchema, 'The new session, and the job that a runner will do') },
    },
  )
  app.openapi(restore, async (c) => {
    const id = parseSessionId(c.req.valid('json').as, 'as')
    const backup = await find(c, c.req.valid('param').id)
    const session = await createOnce(services, c, id, { state: 'running', metadata: {} })
    const found = { key: keyOf(session), session, owner: undefined }
    const job = await requestJob(services, c, found, { kind: 'restore', args: { backup: backup.id } })
    return c.json(await presentWithJob(services, c, found, job), 202)
  })

  const discard = declare(
    services,
    {},
    {
      method: 'delete',
      path: '/v1/backups/{id}',
      tags,
      summary: 'Destroy what is kept of a deleted session',
      description:
        'Its keys are destroyed at once, so that nobody can ever open it; a runner removes the rest.',
      request: { params: BackupParam },
      responses: { 204: { description: 'It is gone' } },
    },
  )
  app.openapi(discard, async (c) => {
    const { id } = await find(c, c.req.valid('param').id)
    await stores.backups.discard(c.get('tenant'), id)
    c.get('log').info({ backup: id, keyPrefix: c.get('caller').prefix }, 'backup discarded')
    return c.body(null, 204)
  })

  async function find(c: ControlContext, id: string): Promise<Backup> {
    const backup = await stores.backups.get(c.get('tenant'), id)
    if (!backup || backup.expiresAt <= clock.nowMs())
      throw new CodedError('not_found', `There is no backup ${JSON.stringify(id)}.`)
    return backup
  }
}

function presentBackup(backup: Backup): z.infer<typeof BackupSchema> {
  const { session, life } = splitKey(backup.origin)
  return {
    id: backup.id,
    tenant: backup.tenant,
    session,
    life: life ?? null,
    label: backup.label,
    jid: backup.jid ?? null,
    bytes: backup.snapshot.bytes,
    at: iso(backup.createdAt),
    expiresAt: iso(backup.expiresAt),
  }
}
