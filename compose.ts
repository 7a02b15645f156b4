import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createControl } from '#control/app.ts'
import { sha256Hex } from '#control/auth.ts'
import { serveControl, type Serving } from '#control/serve.ts'
import { Runner } from '#runner/runner.ts'
import { runnerSettings } from '#runner/settings.ts'
import { baileysSockets } from '#runner/whatsapp/baileys-socket.ts'
import { silenceConsole } from '#runner/whatsapp/quiet.ts'
import { systemClock } from '#shared/clock.ts'
import { readConfig, type Config } from '#shared/config.ts'
import { CodedError, ERRORS, toError } from '#shared/errors.ts'
import { createLog, type Log } from '#shared/log.ts'
import { openStores } from '#shared/open-stores.ts'
import { systemRandom } from '#shared/random.ts'
import type { Stores } from '#shared/store/stores.ts'
import { bootstrapKey } from './bootstrap.ts'
import { welcome } from './welcome.ts'
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
  const stores = await openStores(config, { clock: systemClock, random: systemRandom })
  await stores.check()

  const withControl = config.MOORING_ROLE !== 'runner'
  const withRunner = config.MOORING_ROLE !== 'control'
  const serving = await startControl(config, stores, log, withControl)
  const runner = withRunner ? await startRunner(config, stores, log) : undefined
  endOnSignals(log, async () => {
    const summary = await runner?.stop()
    await serving.close()
    await stores.close()
    return summary?.left ?? 0
  })
}

/** A runner alone serves health too, with the same app: it has no key of its own, so everything else answers 401. */
async function startControl(
  config: Config,
  stores: Stores,
  log: Log,
  withControl: boolean,
): Promise<Serving> {
  const key = withControl ? await bootstrapKey(config, config.MOORING_DATA_DIR, randomBytes) : undefined
  const app = createControl({
    stores,
    clock: systemClock,
    random: systemRandom,
    log,
    version,
    ...(key ? { adminKeySha256: sha256Hex(key.text) } : {}),
  })
  const serving = await serveControl({ app, port: config.PORT, hostname: config.MOORING_HOST })
  log.info({ component: 'control', port: serving.port }, 'listening')
  if (key) welcome({ port: serving.port, key, pretty: process.stdout.isTTY })
  return serving
}

async function startRunner(config: Config, stores: Stores, log: Log): Promise<Runner> {
  const settings = runnerSettings(config, version)
  const runner = new Runner({
    stores,
    clock: systemClock,
    random: systemRandom,
    log: log.child({ component: 'runner' }),
    openSocket: baileysSockets({
      settings: settings.baileys,
      clock: systemClock,
      log:
        config.MOORING_BAILEYS_LOG_LEVEL === 'silent'
          ? undefined
          : log.child({ component: 'baileys' }, { level: config.MOORING_BAILEYS_LOG_LEVEL }),
    }),
    settings: {
      ...settings.runner,
      workDir: config.MOORING_WORK_DIR ?? join(config.MOORING_DATA_DIR, 'work'),
    },
  })
  await runner.start()
  return runner
}

/** One session's failure never ends the process: rejections that nobody awaits come from the library's own callbacks. */
function guardProcess(log: Log): void {
  silenceConsole(log)
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
