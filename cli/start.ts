import { Registry } from 'prom-client'
import type { Serving } from '#shared/http/serve.ts'
import type { Runner } from '#runner/runner.ts'
import { systemClock } from '#shared/clock.ts'
import { readConfig, type Config } from '#shared/config.ts'
import { contentSecret } from '#shared/content-settings.ts'
import { createLog, type Log } from '#shared/log.ts'
import { openStores } from '#shared/open-stores.ts'
import { endBroken, endOnSignals, guardProcess } from '#shared/process.ts'
import { systemRandom } from '#shared/random.ts'
import { createBodies, type Bodies } from '#shared/sealing/bodies.ts'
import { countOperations } from '#shared/store-metrics.ts'
import type { Stores } from '#shared/store/stores.ts'
import { transferSettings, type TransferSettings } from '#shared/transfer-settings.ts'
import { version } from '#shared/version.ts'

/**
 * The composition root: reads the settings, opens the stores, starts control, a runner, or both, and ends them in order on
 * SIGTERM or SIGINT. SIGHUP and SIGPIPE are left to their defaults: a closed terminal ends the process, and a broken pipe is
 * an error of whoever writes to it.
 */
export async function main(): Promise<void> {
  const config = readConfig(process.env)
  const log = createLog({
    level: config.MOORING_LOG_LEVEL,
    pretty: process.stdout.isTTY,
    service: `mooring-${config.MOORING_ROLE}`,
    version,
  })
  guardProcess(log)
  const transfer = await transferSettings(config)
  const registry = new Registry()
  const meter = countOperations(config.MOORING_STORE, registry)
  const stores = await openStores(config, {
    clock: systemClock,
    random: systemRandom,
    meter,
    onBroken: endBroken(log),
  })
  // Behind the stores: it may follow from the key that they made.
  const bodies = createBodies(await contentSecret(config), stores.tenants)
  let serving: Serving | undefined
  let runner: Runner | undefined
  // Before anything is begun: as PID 1 a process without a handler is deaf to SIGTERM.
  const endProcess = endOnSignals(log, async () => {
    const summary = await runner?.stop()
    await serving?.close()
    await stores.close()
    return summary?.left ?? 0
  })
  // Control alone begins with what nearly every request needs. Loading the clients of the rest would double the time until
  // its first answer; /health/ready asks for all of it, and a deployment asks that before a revision gets traffic.
  const check = stores.check(config.MOORING_ROLE === 'control' ? 'records' : 'all')
  // What it serves with is loaded while the stores are asked.
  const [serve] = await Promise.all([loadServer(config), check])
  serving = await serve(config, {
    stores,
    bodies,
    transfer,
    log,
    registry,
    isRunning: () => runner !== undefined,
    isStatusLate: () => runner?.late.some(({ what }) => what === 'status') === true,
  })
  if (config.MOORING_ROLE !== 'control') {
    const { startRunner } = await import('#runner/main.ts')
    runner = await startRunner(config, { stores, bodies, transfer }, log, registry, () =>
      endProcess('drained as asked'),
    )
  }
}

type Serve = (
  config: Config,
  deps: {
    stores: Stores
    bodies: Bodies
    transfer: TransferSettings
    log: Log
    registry: Registry
    isRunning: () => boolean
    isStatusLate: () => boolean
  },
) => Promise<Serving>

/** Each role loads what it needs: control no library of WhatsApp, a runner alone no API. */
async function loadServer(config: Config): Promise<Serve> {
  if (config.MOORING_ROLE === 'runner') return (await import('#runner/probes/start-probes.ts')).startProbes
  return (await import('#control/main.ts')).startControl
}
