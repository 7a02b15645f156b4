import { CodedError, toError } from './errors.ts'
import type { Log } from './log.ts'

/** sysexits(3): a setting is wrong, so starting again without a change is of no use. */
const EX_CONFIG = 78
/** sysexits(3): a bug. */
const EX_SOFTWARE = 70
/** sysexits(3): an error of input or output. */
const EX_IOERR = 74
/** Cloud Run kills ten seconds after SIGTERM; half a second before that the last lines of the log are still read. */
const END_WITHIN_MS = 9_500

/** Errors that were handed to a library, which may lose them in a promise that nobody awaits. */
const handed = new WeakSet<object>()

/** Notes that a library got this error from us: should nobody handle it there, that is no bug of ours. Answers the error. */
export function handedToLibrary<E>(error: E): E {
  if (typeof error === 'object' && error !== null) handed.add(error)
  return error
}

/** Code of a package stands in the stack of what it threw. What is no error at all is none of ours: we throw nothing else. */
const isOfLibrary = (reason: unknown): boolean =>
  !(reason instanceof Error) || handed.has(reason) || /[\\/]node_modules[\\/]/.test(reason.stack ?? '')

/**
 * One session's failure never ends the process: libraries leave rejections that nobody awaits in their own callbacks. A
 * rejection of ours that nobody handles is a bug, and like an exception it ends the process: what it left half done must
 * not be built upon, and another runner takes over.
 */
export function guardProcess(log: Log): void {
  process.on('unhandledRejection', (reason) => {
    if (isOfLibrary(reason)) {
      log.error({ error: toError(reason) }, 'a library left a rejection unhandled')
      return
    }
    log.fatal({ error: toError(reason) }, 'a rejection of ours was not handled: a bug ends the process')
    process.exit(EX_SOFTWARE)
  })
  process.on('uncaughtException', (error) => {
    log.fatal({ error }, 'a bug ends the process; another runner takes over')
    process.exit(EX_SOFTWARE)
  })
}

/**
 * Ends everything in order at the first SIGTERM or SIGINT, or when the answer is called; at once at a second signal; and
 * when the time is over, whatever a loop, a store or a neighbour is doing. `end` answers how many sessions could not be
 * handed over.
 */
export function endOnSignals(
  log: Log,
  end: () => Promise<number>,
  withinMs = END_WITHIN_MS,
): (why: string) => void {
  let ending = false
  const begin = (why: string): void => {
    ending = true
    log.info({ why }, 'ending')
    setTimeout(() => {
      log.fatal({ why, withinMs }, 'did not end in time; it ends now')
      process.exit(1)
    }, withinMs).unref()
    end().then(
      (left) => process.exit(left === 0 ? 0 : 1),
      (error: unknown) => {
        log.fatal({ error: toError(error) }, 'did not end in order')
        process.exit(1)
      },
    )
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    if (ending) {
      log.warn({ signal }, 'forced to end')
      process.exit(1)
    }
    begin(signal)
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return (why) => {
    if (!ending) begin(why)
  }
}

/** What keeps it from starting, in a sentence and a hint; a stack trace only where it is a bug. */
export function cannotStart(thrown: unknown): never {
  const error = toError(thrown)
  const hint = error instanceof CodedError ? error.hint : error.stack
  process.stderr.write(`mooring cannot start: ${error.message}\n${hint}\n`)
  process.exit(error instanceof CodedError && error.code === 'config' ? EX_CONFIG : 1)
}

/** For stores that can't go on: the process ends, so that a new one opens them anew and others take over meanwhile. */
export const endBroken =
  (log: Log) =>
  (error: Error): never => {
    log.fatal({ error }, 'the stores broke, which ends the process; the next one opens them anew')
    process.exit(EX_IOERR)
  }
