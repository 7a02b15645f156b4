import { OpenAPIHono } from '@hono/zod-openapi'
import { cors } from 'hono/cors'
import { routePath } from 'hono/route'
import { isName } from '#shared/ids.ts'
import { authenticate } from './auth.ts'
import { limitBody } from './body-limit.ts'
import type { ControlApp, ControlContext, ControlDeps, ControlEnv, Services } from './context.ts'
import { messageIdSecretOf } from './idempotency.ts'
import { docsRoutes } from '../routes/docs.ts'
import { eventRoutes } from '../routes/events.ts'
import { eventStreamRoutes } from '../routes/event-stream.ts'
import { createFleet } from '../report/fleet.ts'
import { healthRoutes } from '../routes/health.ts'
import { jobRoutes } from '../routes/jobs.ts'
import { keyRoutes } from '../routes/keys.ts'
import { lifecycleRoutes } from '../routes/lifecycle.ts'
import { maintenanceRoutes } from '../routes/maintenance.ts'
import { messageRoutes } from '../routes/messages.ts'
import { createMetrics } from '../report/metrics.ts'
import { metricsRoutes } from '../routes/metrics.ts'
import { pairingRoutes } from '../routes/pairing.ts'
import { methodsOf } from './methods.ts'
import { createQuotas, type Quotas } from './quotas.ts'
import { answerError, answerInvalid, answerNotFound } from './problem.ts'
import { qrRoutes } from '../routes/qr.ts'
import { reportRoutes } from '../routes/report.ts'
import { backupRoutes } from '../routes/backups.ts'
import { removalRoutes } from '../routes/removals.ts'
import { runnerRoutes } from '../routes/runners.ts'
import { sessionRoutes } from '../routes/sessions.ts'
import { snapshotRoutes } from '../routes/snapshots.ts'
import { tenantRoutes } from '../routes/tenants.ts'
import { traceFields } from './trace.ts'
import { exportRoutes } from '../routes/export.ts'
import { importRoutes } from '../routes/import.ts'

/**
 * The control API. It holds no socket and remembers nothing that matters: whatever a request changes is in the stores
 * before it is answered, so any number of these may run, none of them needs a runner, and each may end at any time.
 *
 * In the order of a request: an id, the size of the body, who asks, what the route demands, the schema, the handler.
 */
export function createControl(deps: ControlDeps): ControlApp {
  const services = servicesOf(deps)
  const app: ControlApp = new OpenAPIHono<ControlEnv>({
    defaultHook: (result, c) => (result.success ? undefined : answerInvalid(result.error, c)),
  })
  app.onError((error, c) => answerError(error, c))
  app.notFound((c) => answerNotFound(c, methodsOf(app, c.req.path)))

  app.use(async function observe(c, next) {
    const startMs = services.clock.monotonicMs()
    const requestId = services.random.id()
    const trace = traceFields(services.project, (name) => c.req.header(name))
    c.set('requestId', requestId)
    c.set('log', services.log.child({ requestId, ...trace }))
    c.header('X-Request-Id', requestId)
    c.header('Cache-Control', 'no-store')
    for (const [name, value] of Object.entries(SAFE_HEADERS)) c.header(name, value)
    await next()
    const route = routePath(c, -1)
    const request = { method: c.req.method, route, status: c.res.status }
    const durationMs = Math.round(services.clock.monotonicMs() - startMs)
    services.metrics.observe({ ...request, seconds: durationMs / 1000 })
    const fields = { ...request, ...sessionOf(c), durationMs, by: c.get('caller')?.prefix }
    if (c.req.method === 'GET') c.get('log').debug(fields, 'request answered')
    else c.get('log').info(fields, 'request answered')
  })

  if (services.corsOrigins.length > 0) app.use('/v1/*', allowOrigins(services.corsOrigins))
  for (const path of ['/v1/*', '/metrics']) app.use(path, authenticate(services))
  app.use('/v1/*', limitBody())

  for (const addRoutes of ROUTES) addRoutes(app, services)
  return app
}

/**
 * For a browser: nothing that this serves is a page that loads anything, is shown in a frame, or tells others where somebody
 * came from. `/docs` sets a policy of its own, for its one style sheet.
 */
const SAFE_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
}

/** Scripts of other pages may ask when their origin is named; they send a key, never a cookie. */
const allowOrigins = (origins: readonly string[]) =>
  cors({
    origin: [...origins],
    allowMethods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowHeaders: [
      'Authorization',
      'X-API-Key',
      'Content-Type',
      'Idempotency-Key',
      'If-Match',
      'Last-Event-ID',
      'X-Passphrase',
    ],
    exposeHeaders: ['ETag', 'Location', 'Retry-After', 'X-Request-Id'],
    maxAge: 600,
  })

const ROUTES = [
  healthRoutes,
  tenantRoutes,
  keyRoutes,
  sessionRoutes,
  lifecycleRoutes,
  jobRoutes,
  pairingRoutes,
  qrRoutes,
  messageRoutes,
  eventRoutes,
  eventStreamRoutes,
  snapshotRoutes,
  exportRoutes,
  importRoutes,
  removalRoutes,
  backupRoutes,
  runnerRoutes,
  reportRoutes,
  maintenanceRoutes,
  metricsRoutes,
  docsRoutes,
]

/** The session that a request was about; the runner's lines name it so too, and its life behind that. What is no name is whatever somebody sent. */
function sessionOf(c: ControlContext): { sessionId?: string } {
  const id = /^\/v1\/sessions\/([^/]+)/.exec(c.req.path)?.[1]
  const tenant = c.get('tenant')
  return id === undefined || !isName(id) || tenant === undefined ? {} : { sessionId: `${tenant}~${id}` }
}

function servicesOf(deps: ControlDeps): Services {
  const { stores, clock, random, registry } = deps
  const fleet = createFleet(stores, clock)
  const metrics = createMetrics({ stores, fleet, clock, open: () => quotas, ...(registry && { registry }) })
  const quotas: Quotas = createQuotas({
    stores,
    clock,
    instances: deps.instances ?? 1,
    streamsMax: deps.streamsMax ?? 1_000,
    ...(deps.quotaOverrides && { overrides: deps.quotaOverrides }),
    refused: (quota) => metrics.refused(quota),
  })
  return {
    stores,
    bodies: deps.bodies,
    clock,
    random,
    log: deps.log.child({ component: 'control' }),
    adminKeySha256: deps.adminKeySha256,
    keyPepper: deps.keyPepper,
    messageIdSecret: messageIdSecretOf(deps.keyPepper),
    transfer: deps.transfer,
    guard: deps.guard,
    project: deps.project,
    version: deps.version ?? '0.0.0',
    trustedProxies: deps.trustedProxies ?? 0,
    corsOrigins: deps.corsOrigins ?? [],
    streamPollMs: deps.streamPollMs ?? 1000,
    isStatusLate: deps.isStatusLate ?? (() => false),
    fleet,
    metrics,
    quotas,
  }
}
