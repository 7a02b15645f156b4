import { z } from '@hono/zod-openapi'
import { CodedError } from '#shared/errors.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import type { ControlApp, Services } from '../http/context.ts'
import { credentialsOf } from '../session/credentials.ts'
import { presentWithJob, requestJob } from '../session/request-job.ts'
import { iso } from '../present/present.ts'
import { answers, body, declare } from '../http/route.ts'
import { SessionParam, SessionWithJobSchema, Time, pageOf } from '../present/schemas.ts'
import { findForChange, findSession } from '../session/session-access.ts'

const SnapshotSchema = z
  .object({
    id: z.string(),
    seq: z.int(),
    epoch: z.int(),
    at: Time,
    bytes: z.int(),
    sha256: z.string(),
    reason: z.string(),
    label: z.string().nullable(),
    clean: z.boolean().openapi({ description: 'Taken after a socket that ended in order.' }),
    quarantined: z.string().nullable().openapi({ description: 'Why it is never chosen again.' }),
  })
  .openapi('Snapshot')

const NewSnapshot = z.strictObject({
  label: z.string().min(1).max(200).optional().openapi({ description: 'A labelled one is kept 30 days.' }),
})

const force = z.boolean().default(false).openapi({
  description: 'Go back although newer, healthy credentials exist.',
})

const Restore = z.union([
  z.strictObject({ snapshot: z.string().min(1).max(200), force }),
  z.strictObject({ at: z.iso.datetime({ offset: true }), force }),
  z.strictObject({ latest: z.literal(true), force }),
])

/** Backups of one session: list, take, go back to one. */
export function snapshotRoutes(app: ControlApp, services: Services): void {
  const tags = ['backups']
  const { snapshots } = services.stores

  const list = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/sessions/{id}/snapshots',
      tags,
      summary: 'List the backups of a session',
      request: { params: SessionParam },
      responses: { 200: answers(pageOf(SnapshotSchema), 'The newest first') },
    },
  )
  app.openapi(list, async (c) => {
    const { key } = await findSession(services, c)
    return c.json({ items: (await snapshots.list(key)).map(presentSnapshot) }, 200)
  })

  const take = declare(
    services,
    { idempotent: true },
    {
      method: 'post',
      path: '/v1/sessions/{id}/snapshots',
      tags,
      summary: 'Take a backup now',
      request: { params: SessionParam, body: { content: { 'application/json': { schema: NewSnapshot } } } },
      responses: { 202: answers(SessionWithJobSchema, 'The session, and the job that a runner will do') },
    },
  )
  app.openapi(take, async (c) => {
    const { label } = c.req.valid('json')
    const found = await findForChange(services, c)
    const args = label === undefined ? {} : { label }
    const job = await requestJob(services, c, found, {
      kind: 'snapshot',
      args,
      shareOpen: label === undefined,
    })
    return c.json(await presentWithJob(services, c, found, job), 202)
  })

  const restore = declare(
    services,
    { idempotent: true },
    {
      method: 'post',
      path: '/v1/sessions/{id}/restore',
      tags,
      summary: 'Go back to a backup',
      description:
        'One of `snapshot` (its id), `at` (the newest that is not younger than this time) and `latest`. A backup of what ' +
        'is there now is taken first. Over newer, healthy credentials it needs `force`.',
      request: { params: SessionParam, body: body(Restore) },
      responses: { 202: answers(SessionWithJobSchema, 'The session, and the job that a runner will do') },
    },
  )
  app.openapi(restore, async (c) => {
    const asked = c.req.valid('json')
    const found = await findForChange(services, c)
    // Which one is meant is settled here and now: by the time a runner does it, `latest` may be the backup it has just taken.
    const snapshot = choose(await snapshots.list(found.key), asked)
    if (!asked.force && credentialsOf(found.session) === 'good') {
      throw new CodedError('newer_state', 'The session has healthy credentials, newer than any backup.')
    }
    const args = { snapshot: snapshot.id, force: asked.force }
    const job = await requestJob(services, c, found, { kind: 'restore', args })
    return c.json(await presentWithJob(services, c, found, job), 202)
  })
}

/** The list comes newest first. @throws CodedError `not_found`, `conflict` for one that is known to be damaged */
export function choose(
  snapshots: readonly SnapshotRecord[],
  asked: { snapshot: string } | { at: string } | { latest: true },
): SnapshotRecord {
  if ('snapshot' in asked) {
    const named = snapshots.find((snapshot) => snapshot.id === asked.snapshot)
    if (!named) throw none('There is no backup with this id.', 'snapshot')
    if (named.quarantined !== undefined) {
      throw new CodedError('conflict', `This backup can't be used: ${named.quarantined}.`, {
        field: 'snapshot',
      })
    }
    return named
  }
  const usable = snapshots.filter((snapshot) => snapshot.quarantined === undefined)
  const atMs = 'at' in asked ? Date.parse(asked.at) : Infinity
  const chosen = usable.filter((snapshot) => snapshot.at <= atMs).toSorted((a, b) => b.at - a.at)[0]
  if (chosen) return chosen
  throw 'at' in asked
    ? none('There is no usable backup from before that time.', 'at')
    : none('There is no usable backup.', 'latest')
}

const none = (message: string, field: string): CodedError => new CodedError('not_found', message, { field })

const presentSnapshot = (snapshot: SnapshotRecord): z.infer<typeof SnapshotSchema> => ({
  id: snapshot.id,
  seq: snapshot.seq,
  epoch: snapshot.epoch,
  at: iso(snapshot.at),
  bytes: snapshot.bytes,
  sha256: snapshot.sha256,
  reason: snapshot.reason,
  label: snapshot.label ?? null,
  clean: snapshot.clean,
  quarantined: snapshot.quarantined ?? null,
})
