import type { Registry } from 'prom-client'
import { createProbes } from './probes.ts'
import { serveHttp, type Serving } from '#shared/http/serve.ts'
import { systemClock } from '#shared/clock.ts'
import type { Config } from '#shared/config.ts'
import type { Log } from '#shared/log.ts'
import type { Stores } from '#shared/store/stores.ts'
import { version } from '#shared/version.ts'

/** The port of a process that only runs sessions. */
export async function startProbes(
  config: Config,
  deps: {
    stores: Stores
    log: Log
    registry: Registry
    isRunning: () => boolean
    isStatusLate: () => boolean
  },
): Promise<Serving> {
  const app = createProbes({ ...deps, clock: systemClock, version })
  const serving = await serveHttp({ app, port: config.PORT, hostname: config.MOORING_HOST })
  deps.log.info({ component: 'runner', port: serving.port }, 'listening')
  return serving
}
