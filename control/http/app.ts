import { OpenAPIHono } from '@hono/zod-openapi'
import { bodyLimit } from 'hono/body-limit'
import { routePath } from 'hono/route'
import { CodedError } from '#shared/errors.ts'
import { isName } from '#shared/ids.ts'
import { authenticate } from './auth.ts'
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
import { transferRoutes } from '../routes/transfer.ts'

const BODY_BYTES_MAX = 1024 * 1024

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
  app.notFound((c) => answerNotFound(c))

  app.use(async function observe(c, next) {
    const startMs = services.clock.monotonicMs()
    const requestId = services.random.id()
    const trace = traceFields(services.project, (name) => c.req.header(name))
    c.set('requestId', requestId)
    c.set('log', services.log.child({ requestId, ...trace }))
    c.header('X-Request-Id', requestId)
    c.header('Cache-Control', 'no-store')
    c.header('X-Content-Type-Options', 'nosniff')
    await next()
    const route = routePath(c, -1)
    const request = { method: c.req.method, route, status: c.res.status }
    const durationMs = Math.round(services.clock.monotonicMs() - startMs)
    services.metrics.observe({ ...request, seconds: durationMs / 1000 })
    const fields = { ...request, ...sessionOf(c), durationMs, by: c.get('caller')?.prefix }
    if (c.req.method === 'GET') c.get('log').debug(fields, 'request answered')
    else c.get('log').info(fields, 'request answered')
  })

  for (const path of ['/v1/*', '/metrics']) app.use(path, authenticate(services))
  app.use('/v1/*', async function limitBody(c, next) {
    // An import is counted as it goes by (routes/transfer.ts): a limit here would hold all of it.
    if (c.req.path.endsWith('/import')) return next()
    const maxSize = BODY_BYTES_MAX
    const onError = (): never => {
      throw new CodedError('too_large', `The body has more than ${maxSize} bytes.`)
    }
    return bodyLimit({ maxSize, onError })(c, next)
  })

  for (const addRoutes of ROUTES) addRoutes(app, services)
  return app
}

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
  transferRoutes,
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
  return {
    stores,
    clock,
    random,
    log: deps.log.child({ component: 'control' }),
    adminKeySha256: deps.adminKeySha256,
    keyPepper: deps.keyPepper,
    messageIdSecret: messageIdSecretOf(deps.keyPepper),
    transfer: deps.transfer,
    project: deps.project,
    version: deps.version ?? '0.0.0',
    rate: deps.rate ?? { perSecond: 100, burst: 200 },
    sessionsPerTenant: deps.sessionsPerTenant ?? 1000,
    streamPollMs: deps.streamPollMs ?? 1000,
    isStatusLate: deps.isStatusLate ?? (() => false),
    fleet,
    metrics: createMetrics(stores, fleet, clock, registry),
  }
}
