import { CodedError, ERRORS, toError } from './errors.ts'
import type { Log } from './log.ts'

/** One session's failure never ends the process: rejections that nobody awaits come from the library's own callbacks. */
export function guardProcess(log: Log): void {
  process.on('unhandledRejection', (reason) =>
    log.error({ error: toError(reason) }, 'a rejection was not handled'),
  )
  process.on('uncaughtException', (error) => {
    log.fatal({ error }, 'a bug ends the process; another runner takes over')
    process.exit(70)
  })
}

/** The first signal ends everything in order, a second one at once. */
export function endOnSignals(log: Log, end: () => Promise<number>): void {
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
