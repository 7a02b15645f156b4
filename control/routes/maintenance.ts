import { z } from '@hono/zod-openapi'
import { keyOf } from '#shared/ids.ts'
import type { TenantId } from '#shared/ids.ts'
import type { Owner, Session } from '#shared/session.ts'
import { sweepTransfers } from '#shared/transfers.ts'
import { byOf } from '../http/audit.ts'
import type { ControlApp, ControlContext, Services } from '../http/context.ts'
import { eraseUntouched, isUntouched } from '../session/erase.ts'
import { iso } from '../present/present.ts'
import { ownersOf } from '../report/scan.ts'
import { answers, declare } from '../http/route.ts'
import { StatusSchema, Time } from '../present/schemas.ts'

const DAY_MS = 86_400_000
const KEEP_DAYS = 30

const SweepRequest = z.strictObject({
  dryRun: z.boolean().default(true).openapi({ description: 'Only tell. Say false to do it.' }),
  olderThanDays: z.int().min(1).max(3650).default(KEEP_DAYS),
})

const Swept = z.object({
  tenant: z.string(),
  id: z.string(),
  why: z.enum(['orphan', 'stopped', 'logged_out', 'banned']),
  phase: StatusSchema.shape.phase.nullable(),
  since: Time,
})

const SweepSchema = z
  .object({
    dryRun: z.boolean(),
    sessions: z.array(Swept).openapi({ description: 'Sessions that are (or would be) deleted, and why.' }),
    kept: z.int().openapi({ description: 'Sessions left untouched.' }),
    files: z.int().openapi({ description: 'Files of imports and exports that nobody needs any more.' }),
    records: z
      .object({ events: z.int(), sent: z.int(), received: z.int(), jobs: z.int() })
      .nullable()
      .openapi({ description: 'Old records removed; null in a dry run.' }),
  })
  .openapi('Sweep')

/** Cleaning up, for the operator: what is long dead, and what belongs to nobody. */
export function maintenanceRoutes(app: ControlApp, services: Services): void {
  const { stores } = services

  const sweep = declare(
    services,
    {},
    {
      method: 'post',
      path: '/v1/maintenance/sweep',
      tags: ['operation'],
      summary: 'Remove what is long dead and what belongs to nobody',
      description:
        'Sessions that were stopped, logged out or banned for longer than olderThanDays, sessions of a tenant that does ' +
        'not exist, old events, messages and jobs. A dry run unless you say dryRun: false. Labelled backups stay their 30 days.',
      request: { body: { content: { 'application/json': { schema: SweepRequest } } } },
      responses: { 200: answers(SweepSchema, 'What was done, or would be') },
    },
  )
  app.openapi(sweep, async (c) => {
    const { dryRun, olderThanDays } = SweepRequest.parse(c.req.valid('json'))
    const nowMs = services.clock.nowMs()
    const olderThanMs = nowMs - olderThanDays * DAY_MS
    const [owners, tenants] = await Promise.all([ownersOf(stores), stores.tenants.list()])
    const known = new Set(tenants.map((tenant) => tenant.id))
    const sessions: z.infer<typeof Swept>[] = []
    let kept = 0
    for await (const session of stores.sessions.scan()) {
      const why = reasonToSweep(session, known, olderThanMs)
      if (why === undefined) {
        kept += 1
        continue
      }
      sessions.push({
        tenant: session.tenant,
        id: session.id,
        why,
        phase: session.status?.phase ?? null,
        since: iso(session.updatedAt),
      })
      if (!dryRun) await remove(c, session, owners.get(keyOf(session)), why)
    }
    const files = (await sweepTransfers(stores, { nowMs, dryRun })).length
    const records = dryRun ? null : await sweepRecords(olderThanMs)
    return c.json({ dryRun, sessions, kept, files, records }, 200)
  })

  async function remove(
    c: ControlContext,
    session: Session,
    owner: Owner | undefined,
    why: string,
  ): Promise<void> {
    const key = keyOf(session)
    if (isUntouched(session, owner)) return eraseUntouched(stores, key)
    const by = `${byOf(c)} (swept: ${why})`
    await stores.sessions.remove(key, { purge: false, by, nowMs: services.clock.nowMs() })
  }

  async function sweepRecords(olderThanMs: number) {
    const [events, sent, received, jobs] = await Promise.all([
      stores.events.sweep({ olderThanMs }),
      stores.outbox.sweep({ olderThanMs }),
      stores.feed.sweep({ olderThanMs }),
      stores.jobs.sweep({ olderThanMs }),
    ])
    return { events, sent, received, jobs }
  }
}

/** `undefined` for a session that is to be left alone. */
function reasonToSweep(
  session: Pick<Session, 'tenant' | 'want' | 'status' | 'updatedAt'>,
  known: ReadonlySet<TenantId>,
  olderThanMs: number,
): z.infer<typeof Swept>['why'] | undefined {
  if (!known.has(session.tenant)) return 'orphan'
  if (session.updatedAt >= olderThanMs) return undefined
  const phase = session.status?.phase
  if (phase === 'logged_out' || phase === 'banned') return phase
  return session.want.state === 'stopped' ? 'stopped' : undefined
}
