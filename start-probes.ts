import type { Registry } from 'prom-client'
import { createProbes } from '#control/probes.ts'
import { serveControl, type Serving } from '#control/serve.ts'
import { systemClock } from '#shared/clock.ts'
import type { Config } from '#shared/config.ts'
import type { Log } from '#shared/log.ts'
import type { Stores } from '#shared/store/stores.ts'
import { version } from './version.ts'

/** The port of a process that only runs sessions. */
export async function startProbes(
  config: Config,
  deps: { stores: Stores; log: Log; registry: Registry; isRunning: () => boolean },
): Promise<Serving> {
  const app = createProbes({ ...deps, clock: systemClock, version })
  const serving = await serveControl({ app, port: config.PORT, hostname: config.MOORING_HOST })
  deps.log.info({ component: 'runner', port: serving.port }, 'listening')
  return serving
}
