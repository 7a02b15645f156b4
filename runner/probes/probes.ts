import { Hono } from 'hono'
import type { Registry } from 'prom-client'
import type { Clock } from '#shared/clock.ts'
import type { Log } from '#shared/log.ts'
import type { Stores } from '#shared/store/stores.ts'
import { rememberedCheck } from '#shared/http/ready.ts'

/**
 * What a process that only runs sessions answers over HTTP: its health, and the counters of its own process. It knows no API
 * keys, so it serves nothing that would need one; the counters name no tenant, session or number.
 */
export function createProbes(deps: {
  stores: Pick<Stores, 'check'>
  clock: Clock
  log: Log
  version: string
  registry: Registry
  /** Whether the runner has begun: its lease could be renewed and everything was read. */
  isRunning: () => boolean
  isStatusLate?: () => boolean
}): Hono {
  const { version, registry, isRunning } = deps
  const checkStores = rememberedCheck(deps)
  const app = new Hono()
  app.get('/health/live', (c) => c.json({ status: 'alive' }))
  app.get('/health/ready', async (c) => {
    const stores = await checkStores()
    const isReady = stores === 'ok' && isRunning()
    return c.json({ status: isReady ? 'ready' : 'unavailable', stores, version }, isReady ? 200 : 503)
  })
  app.get('/metrics', async (c) =>
    c.text(await registry.metrics(), 200, { 'content-type': registry.contentType }),
  )
  app.notFound((c) => c.json({ status: 404, title: 'Not found', detail: 'A runner serves no API.' }, 404))
  return app
}
