import { Registry } from 'prom-client'
import type { Serving } from '#control/serve.ts'
import type { Runner } from '#runner/runner.ts'
import { systemClock } from '#shared/clock.ts'
import { readConfig, type Config } from '#shared/config.ts'
import { CodedError, ERRORS, toError } from '#shared/errors.ts'
import { createLog, type Log } from '#shared/log.ts'
import { openStores } from '#shared/open-stores.ts'
import { systemRandom } from '#shared/random.ts'
import { countOperations } from '#shared/store-metrics.ts'
import type { Stores } from '#shared/store/stores.ts'
import { version } from './version.ts'

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
  const registry = new Registry()
  const meter = countOperations(config.MOORING_STORE, registry)
  const stores = await openStores(config, { clock: systemClock, random: systemRandom, meter })
  let serving: Serving | undefined
  let runner: Runner | undefined
  // Before anything is begun: as PID 1 a process without a handler is deaf to SIGTERM.
  endOnSignals(log, async () => {
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
  serving = await serve(config, { stores, log, registry, isRunning: () => runner !== undefined })
  if (config.MOORING_ROLE !== 'control') {
    const { startRunner } = await import('./start-runner.ts')
    runner = await startRunner(config, stores, log)
  }
}

type Serve = (
  config: Config,
  deps: { stores: Stores; log: Log; registry: Registry; isRunning: () => boolean },
) => Promise<Serving>

/** Each role loads what it needs: control no library of WhatsApp, a runner alone no API. */
async function loadServer(config: Config): Promise<Serve> {
  if (config.MOORING_ROLE === 'runner') return (await import('./start-probes.ts')).startProbes
  return (await import('./start-control.ts')).startControl
}

/** One session's failure never ends the process: rejections that nobody awaits come from the library's own callbacks. */
function guardProcess(log: Log): void {
  process.on('unhandledRejection', (reason) =>
    log.error({ error: toError(reason) }, 'a rejection was not handled'),
  )
  process.on('uncaughtException', (error) => {
    log.fatal({ error }, 'a bug ends the process; another runner takes over')
    process.exit(70)
  })
}

/** The first signal ends everything in order, a second one at once. */
function endOnSignals(log: Log, end: () => Promise<number>): void {
  let ending = false
  const onSignal = (signal: NodeJS.Signals): void => {
    if (ending) {
      log.warn({ signal }, 'forced to end')
      process.exit(1)
    }
    ending = true
    log.info({ signal }, 'ending')
    end().then(
      (left) => process.exit(left === 0 ? 0 : 1),
      (error: unknown) => {
        log.fatal({ error: toError(error) }, 'did not end in order')
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}

/** What keeps it from starting, in a sentence and a hint; a stack trace only where it is a bug. */
export function cannotStart(thrown: unknown): never {
  const error = toError(thrown)
  const hint = error instanceof CodedError ? ERRORS[error.code].hint : error.stack
  process.stderr.write(`mooring cannot start: ${error.message}\n${hint}\n`)
  process.exit(error instanceof CodedError && error.code === 'config' ? EX_CONFIG : 1)
}

/** sysexits(3): a setting is wrong, so starting again without a change is of no use. */
const EX_CONFIG = 78
