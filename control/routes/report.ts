import { z } from '@hono/zod-openapi'
import type { Owner, Session } from '#shared/session.ts'
import { PHASES } from '#shared/session.ts'
import { resolveTenant } from '../http/auth.ts'
import type { ControlApp, Services } from '../http/context.ts'
import type { FleetView } from '../report/fleet.ts'
import { ALERT_AFTER_ATTEMPTS, needsPerson, ratioOf, UNPAIRED } from '../report/attention.ts'
import { ownedSessions } from '../report/scan.ts'
import { iso, phaseNow } from '../present/present.ts'
import { answers, declare } from '../http/route.ts'
import { StatusSchema, Time, UptimeSchema } from '../present/schemas.ts'

/** More than a person reads; the count beside it is always whole. */
const LISTED_MAX = 500

const Failure = z.object({
  tenant: z.string(),
  id: z.string(),
  phase: StatusSchema.shape.phase,
  reason: z.string().nullable(),
  attempts: z.int(),
  lastDisconnect: StatusSchema.shape.lastDisconnect,
})

const ReportSchema = z
  .object({
    at: Time,
    total: z.int().openapi({ description: 'All sessions.' }),
    wanted: z.int().openapi({ description: 'Those that are wanted running.' }),
    restored: z.int().openapi({ description: 'Wanted and connected; the same as connected.' }),
    connected: z.int(),
    waiting: z.int().openapi({ description: 'On their way without anybody’s help.' }),
    failed: z.int().openapi({ description: 'Need a person; `failures` says why.' }),
    unpaired: z.int().openapi({ description: 'Wait for a phone to be linked; nothing there to restore.' }),
    stopped: z.int(),
    rate: z
      .number()
      .openapi({ description: 'restored ÷ (wanted − unpaired), 0 to 1; 1 when there is none.' }),
    phases: z.record(z.string(), z.int()),
    failures: z.array(Failure).openapi({ description: `The first ${LISTED_MAX}.` }),
    alerts: z.array(Failure).openapi({
      description: `Failed ${ALERT_AFTER_ATTEMPTS} times in a row or more; the first ${LISTED_MAX}.`,
    }),
    uptime: UptimeSchema.extend({ ratio: z.number().nullable() }),
    runners: z.object({ alive: z.int(), draining: z.int() }),
  })
  .openapi('Report')

type Report = z.infer<typeof ReportSchema>

/** The restore and health report: what came back, what did not and why, what is on its way. */
export function reportRoutes(app: ControlApp, services: Services): void {
  const get = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/report',
      tags: ['operation'],
      summary: 'What is connected, what failed and why, what is on its way',
      description:
        'Of a tenant, or of the sessions that the key is for; with a key of the operator and without ?tenant= of all.',
      request: { query: z.object({ tenant: z.string().optional() }) },
      responses: { 200: answers(ReportSchema, 'The report') },
    },
  )
  app.openapi(get, async (c) => {
    const caller = c.get('caller')
    const named = c.req.valid('query').tenant
    const all = caller.tenant === undefined && named === undefined
    const tenant = all ? undefined : await resolveTenant(services, caller, named)
    const whose = tenant && { tenant, names: caller.sessions }
    const report = emptyReport(services.clock.nowMs(), await services.fleet.view())
    for await (const [session, owner] of ownedSessions(services.stores, whose)) {
      count(report, session, owner, await services.fleet.view())
    }
    const restorable = report.wanted - report.unpaired
    report.rate = restorable === 0 ? 1 : report.restored / restorable
    report.uptime.ratio = ratioOf(report.uptime)
    return c.json(report, 200)
  })
}

const emptyReport = (nowMs: number, fleet: FleetView): Report => ({
  at: iso(nowMs),
  total: 0,
  wanted: 0,
  restored: 0,
  connected: 0,
  waiting: 0,
  failed: 0,
  unpaired: 0,
  stopped: 0,
  rate: 1,
  phases: Object.fromEntries(PHASES.map((phase) => [phase, 0])),
  failures: [],
  alerts: [],
  uptime: { connectedMs: 0, wantedMs: 0, connects: 0, disconnects: 0, ratio: null },
  runners: {
    alive: fleet.alive.size,
    draining: fleet.runners.filter((runner) => runner.alive && runner.draining).length,
  },
})

/** Adds one session to the report. */
function count(report: Report, session: Session, owner: Owner | undefined, fleet: FleetView): void {
  const { phase, reason } = phaseNow(session, owner, fleet)
  report.total += 1
  report.phases[phase] = (report.phases[phase] ?? 0) + 1
  for (const figure of ['connectedMs', 'wantedMs', 'connects', 'disconnects'] as const) {
    report.uptime[figure] += session.status?.uptime[figure] ?? 0
  }
  if (session.want.state === 'stopped') {
    report.stopped += 1
    return
  }
  report.wanted += 1
  const attempts = session.status?.attempts ?? 0
  const last = session.status?.lastDisconnect
  const failure = {
    tenant: session.tenant,
    id: session.id,
    phase,
    reason: reason ?? null,
    attempts,
    lastDisconnect: last ? { code: last.code ?? null, why: last.why, at: iso(last.at) } : null,
  }
  if (attempts >= ALERT_AFTER_ATTEMPTS && report.alerts.length < LISTED_MAX) report.alerts.push(failure)
  if (phase === 'connected') {
    report.connected += 1
    report.restored += 1
  } else if (needsPerson(phase)) {
    report.failed += 1
    if (report.failures.length < LISTED_MAX) report.failures.push(failure)
  } else if (UNPAIRED.has(phase)) report.unpaired += 1
  else report.waiting += 1
}
