import { z } from '@hono/zod-openapi'
import type { ControlApp, Services } from '../http/context.ts'
import { CREDENTIALS, credentialsOf } from '../session/credentials.ts'
import { isoOrNull, presentSession } from '../present/present.ts'
import { rememberedCheck } from '#shared/http/ready.ts'
import { answers, declare } from '../http/route.ts'
import { SessionParam, StatusSchema, Time, UptimeSchema, WaitingSchema } from '../present/schemas.ts'
import { ALERT_AFTER_ATTEMPTS, lateOf, ratioOf } from '../report/attention.ts'
import { findSession } from '../session/session-access.ts'

const HealthSchema = z
  .object({
    id: z.string(),
    tenant: z.string(),
    healthy: z.boolean().openapi({
      description:
        'It is as it is wanted, connected or stopped, and nothing of it has waited for longer than a minute.',
    }),
    phase: StatusSchema.shape.phase,
    reason: z
      .string()
      .nullable()
      .openapi({ description: 'Why it is in this phase, and what of it waits since when.' }),
    waiting: WaitingSchema,
    alert: z.boolean().openapi({ description: `It failed ${ALERT_AFTER_ATTEMPTS} times in a row or more.` }),
    credentials: z.object({
      state: z.enum(['good', 'doubtful', 'archived', 'none', 'unknown']),
      needsPairing: z.boolean().openapi({ description: 'Whether a person has to scan a QR.' }),
      explanation: z.string(),
      authenticatedAt: Time.nullable(),
      snapshot: StatusSchema.shape.snapshot,
    }),
    owner: StatusSchema.shape.owner,
    attempts: z.int(),
    lastDisconnect: StatusSchema.shape.lastDisconnect,
    lastActivityAt: Time.nullable(),
    nextAttemptAt: Time.nullable(),
  })
  .openapi('SessionHealth')

const UptimeAnswer = UptimeSchema.extend({
  id: z.string(),
  ratio: z.number().nullable().openapi({ description: 'Connected of wanted time, 0 to 1; null before any.' }),
  meanConnectionMs: z.int().nullable(),
  connectedSince: Time.nullable(),
}).openapi('SessionUptime')

const ReadySchema = z
  .object({ status: z.enum(['ready', 'unavailable']), stores: z.string(), version: z.string() })
  .openapi('Ready')

/** Is it well: this process, and each session. */
export function healthRoutes(app: ControlApp, services: Services): void {
  const tags = ['health']

  const live = declare(
    services,
    {},
    {
      method: 'get',
      path: '/health/live',
      tags,
      summary: 'Is the process alive',
      responses: { 200: answers(z.object({ status: z.literal('alive') }), 'It is') },
    },
  )
  app.openapi(live, (c) => c.json({ status: 'alive' } as const, 200))

  const ready = declare(
    services,
    {},
    {
      method: 'get',
      path: '/health/ready',
      tags,
      summary: 'Can this process serve requests',
      description: 'It can when the stores answer. Whether any runner is alive does not matter for this.',
      responses: { 200: answers(ReadySchema, 'It can'), 503: answers(ReadySchema, 'It can not, now') },
    },
  )
  const checkStores = rememberedCheck(services)
  app.openapi(ready, async (c) => {
    const stores = await checkStores()
    const { version } = services
    return stores === 'ok'
      ? c.json({ status: 'ready', stores, version } as const, 200)
      : c.json({ status: 'unavailable', stores, version } as const, 503)
  })

  const health = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/sessions/{id}/health',
      tags,
      summary: 'Is a session well, and are its credentials good',
      description: 'Answered from what is stored: no socket is opened and no QR is shown for it.',
      request: { params: SessionParam },
      responses: { 200: answers(HealthSchema, 'How the session is') },
    },
  )
  app.openapi(health, async (c) => {
    const { session, owner } = await findSession(services, c)
    const { id, tenant, want, status } = presentSession(session, owner, await services.fleet.view())
    const state = credentialsOf(session)
    const late = lateOf(session.status, services.clock.nowMs())
    const reasons = [status.reason ?? [], late].flat()
    return c.json(
      {
        id,
        tenant,
        healthy: status.phase === (want.state === 'running' ? 'connected' : 'stopped') && late.length === 0,
        phase: status.phase,
        reason: reasons.length === 0 ? null : reasons.join('; '),
        waiting: status.waiting,
        alert: status.attempts >= ALERT_AFTER_ATTEMPTS,
        credentials: {
          state,
          needsPairing: state === 'none' || state === 'archived',
          explanation: CREDENTIALS[state],
          authenticatedAt: status.authenticatedAt,
          snapshot: status.snapshot,
        },
        owner: status.owner,
        attempts: status.attempts,
        lastDisconnect: status.lastDisconnect,
        lastActivityAt: status.lastActivityAt,
        nextAttemptAt: status.nextAttemptAt,
      },
      200,
    )
  })

  const uptime = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/sessions/{id}/uptime',
      tags,
      summary: 'How much of the time a session was connected',
      request: { params: SessionParam },
      responses: { 200: answers(UptimeAnswer, 'As of the last report of its runner') },
    },
  )
  app.openapi(uptime, async (c) => {
    const { session, owner } = await findSession(services, c)
    const { id, status } = presentSession(session, owner, await services.fleet.view())
    const { connectedMs, connects } = status.uptime
    return c.json(
      {
        id,
        ...status.uptime,
        ratio: ratioOf(status.uptime),
        meanConnectionMs: connects === 0 ? null : Math.round(connectedMs / connects),
        connectedSince: status.phase === 'connected' ? isoOrNull(session.status?.connectedAt) : null,
      },
      200,
    )
  })
}
