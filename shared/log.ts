import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import pino from 'pino'
import type PinoPretty from 'pino-pretty'
import { maskPhone, redact, redactText } from './redact.ts'

export { maskPhone } from './redact.ts'

export type Log = pino.Logger

/** Cloud Logging's severities, https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#LogSeverity */
const SEVERITY: Record<string, string> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
}

/**
 * One JSON object a line, in the shape that Cloud Logging reads: `severity`, `time`, `message`, an insert id that keeps
 * lines of the same millisecond in order; on a terminal the same lines for people. Errors go under `error`.
 */
export function createLog(options: {
  level: string
  pretty: boolean
  service: string
  version: string
}): Log {
  let line = 0
  const start = randomUUID().slice(0, 8)
  const settings: pino.LoggerOptions = {
    level: options.level,
    messageKey: 'message',
    errorKey: 'error',
    base: { serviceContext: { service: options.service, version: options.version } },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: {
      level: (label) => ({ severity: SEVERITY[label] ?? 'DEFAULT' }),
      log: (fields) => redact(withTenant(fields)),
    },
    mixin: () => ({ 'logging.googleapis.com/insertId': `${start}-${String(line++).padStart(9, '0')}` }),
    serializers: { error: (error) => serializeError(error), err: (error) => serializeError(error) },
  }
  // Written behind, in batches: a thousand sessions that come up at once must not wait for whoever reads the log.
  const stream = options.pretty ? prettyStream() : pino.destination({ dest: 1, sync: false, minLength: 0 })
  return redactChildren(pino(settings, stream))
}

/** pino formats the fields of a line, but not those that a child brings to each of its lines. */
function redactChildren(log: Log): Log {
  const prototype = Object.getPrototypeOf(log) as Log
  // Children inherit it, and so do theirs.
  log.child = function child(this: Log, bindings, options) {
    return prototype.child.call(this, redact(bindings), options) as never
  }
  return log
}

/** Metrics are counted by tenant, so each line about a session says whose it is. */
function withTenant(fields: Record<string, unknown>): Record<string, unknown> {
  const { sessionId, tenant } = fields
  if (typeof sessionId !== 'string' || tenant !== undefined) return fields
  const at = sessionId.indexOf('~')
  return at > 0 ? { ...fields, tenant: sessionId.slice(0, at) } : fields
}

/** Longer chains are rings: some library's error that is its own cause. */
const CAUSES_MAX = 8

/** The chain of causes, each with its code, cut and masked. */
function serializeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { message: 'a value that is no Error' }
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  return {
    name: redactText(error.name),
    ...(typeof code === 'string' ? { code: redactText(code) } : typeof code === 'number' ? { code } : {}),
    message: maskPhone(redactText(error.message)),
    stack: maskPhone(redactText(error.stack ?? '')),
    ...(cause === undefined || depth === CAUSES_MAX ? {} : { cause: serializeError(cause, depth + 1) }),
  }
}

/** Fields that say nothing to somebody in front of a terminal. */
const HIDDEN = 'serviceContext,logging\\.googleapis\\.com/insertId'

/** For a terminal: time, severity, message, then the fields. Loaded for a terminal only. */
function prettyStream(): pino.DestinationStream {
  const { build: pretty } = createRequire(import.meta.url)('pino-pretty') as typeof PinoPretty
  return pretty({
    messageKey: 'message',
    errorLikeObjectKeys: ['error'],
    levelKey: 'severity',
    ignore: HIDDEN,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    sync: true,
  })
}
