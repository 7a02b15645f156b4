import { z } from '@hono/zod-openapi'
import { streamSSE } from 'hono/streaming'
import type { SSEStreamingApi } from 'hono/streaming'
import { parseSessionId, type TenantId } from '#shared/ids.ts'
import { parseEventCursor } from '#shared/store/cursor.ts'
import { eventIdAt } from '#shared/store/event-store.ts'
import { demandNamed, findCaller, hasExpired, resolveTenant } from '../http/auth.ts'
import type { Caller, ControlApp, ControlContext, Services } from '../http/context.ts'
import { presentEvent } from '../present/present.ts'
import { declare } from '../http/route.ts'

/**
 * Events are written by several processes whose clocks differ a little, so one may appear with an id lower than the last
 * one sent. The stream looks back this far each time and leaves out what it has sent before.
 */
const LOOK_BACK_MS = 10_000
const BATCH = 500
/** Proxies close what is silent for long; Cloud Run's own limit is far higher. */
const HEARTBEAT_EVERY_MS = 15_000
/** How long a revoked key may still listen. */
const RECHECK_EVERY_MS = 60_000

/** What is going on, as server-sent events. */
export function eventStreamRoutes(app: ControlApp, services: Services): void {
  const stream = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/events',
      tags: ['events'],
      summary: 'Events as they happen (server-sent events)',
      description:
        'Of a tenant, or of the sessions that the key is for; with a key of the operator and without ?tenant= of all. Begins with what happens next, or after ' +
        'Last-Event-ID. An event may come twice after a reconnect; its id tells.',
      request: {
        query: z.object({ tenant: z.string().optional(), session: z.string().optional() }),
        headers: z.object({ 'last-event-id': z.string().optional() }),
      },
      responses: {
        200: { description: 'A stream of events', content: { 'text/event-stream': { schema: z.string() } } },
      },
    },
  )
  app.openapi(stream, async (c) => {
    const { tenant: named, session } = c.req.valid('query')
    const caller = c.get('caller')
    const all = caller.tenant === undefined && named === undefined
    const tenant = all ? undefined : await resolveTenant(services, caller, named)
    if (session !== undefined) demandNamed(caller, 'own', parseSessionId(session, 'session'))
    const lastId = c.req.valid('header')['last-event-id']
    const afterId =
      lastId === undefined ? eventIdAt(services.clock.nowMs(), '') : parseEventCursor(lastId, 'Last-Event-ID')
    const end = await services.quotas.stream(caller)
    return streamSSE(c as ControlContext, async (out) => {
      try {
        await follow(services, out, { caller, tenant, session, afterId })
      } finally {
        end()
      }
    })
  })
}

interface Follow {
  caller: Caller
  tenant: TenantId | undefined
  session: string | undefined
  afterId: string
}

/** Ends when the client goes away, or its key expires or is revoked. A store that fails for a while is asked again. */
async function follow(services: Services, out: SSEStreamingApi, ask: Follow): Promise<void> {
  const gone = new AbortController()
  out.onAbort(() => gone.abort())
  const names = ask.caller.sessions
  const sent = new Set<string>()
  let floor = ask.afterId
  let spokeAtMs = services.clock.monotonicMs()
  let checkedAtMs = spokeAtMs
  await out.write(': listening\n\n')
  while (!gone.signal.aborted && !out.closed) {
    try {
      if (hasExpired(services, ask.caller)) return
      const nowMs = services.clock.monotonicMs()
      if (nowMs - checkedAtMs >= RECHECK_EVERY_MS) {
        if (!(await findCaller(services, ask.caller.sha256))) return
        checkedAtMs = nowMs
      }
      const wrote = await sendNews()
      if (wrote) spokeAtMs = nowMs
      else if (nowMs - spokeAtMs >= HEARTBEAT_EVERY_MS) {
        await out.write(': still here\n\n')
        spokeAtMs = nowMs
      }
    } catch (error) {
      services.log.warn({ error }, 'could not read events for a stream')
    }
    await services.clock.sleep(services.streamPollMs, gone.signal).catch(() => undefined)
  }

  /** Sends what is new, then moves the floor up to `LOOK_BACK_MS` before now. */
  async function sendNews(): Promise<boolean> {
    let afterId = floor
    let wrote = false
    for (;;) {
      const scope = ask.tenant === undefined ? {} : { tenant: ask.tenant }
      const events = await services.stores.events.since({ ...scope, afterId, limit: BATCH })
      for (const { key, ...event } of events) {
        if (sent.has(event.id)) continue
        sent.add(event.id)
        const shown = presentEvent(key, event)
        if (ask.session !== undefined && shown.session !== ask.session) continue
        if (names && (shown.session === undefined || !names.includes(shown.session))) continue
        await out.writeSSE({ id: event.id, event: event.kind, data: JSON.stringify(shown) })
        wrote = true
      }
      const last = events.at(-1)
      if (!last || events.length < BATCH) break
      afterId = last.id
    }
    const settled = eventIdAt(services.clock.nowMs() - LOOK_BACK_MS, '')
    if (settled > floor) floor = settled
    for (const id of sent) if (id < floor) sent.delete(id)
    return wrote
  }
}
