import { randomUUID } from 'node:crypto'
import pino from 'pino'
import { build as pretty } from 'pino-pretty'

export type Log = pino.Logger

/**
 * Paths that may hold credentials or message bodies in an object somebody logs by mistake. The first line of defence is
 * that nobody logs such objects; this is the second.
 */
const REDACT = [
  'creds',
  'keys',
  'text',
  'body',
  'qr',
  'code_secret',
  'passphrase',
  'authorization',
  'ciphertext',
  'plaintext',
]

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
 * Phone numbers keep their country code and last two digits; enough to recognise one's own, too little to call it.
 * A jid keeps its device and its server: `49•••••••12:3@s.whatsapp.net`.
 */
export function maskPhone(text: string): string {
  return text.replaceAll(
    /\d{7,}/g,
    (digits) => `${digits.slice(0, 2)}${'•'.repeat(digits.length - 4)}${digits.slice(-2)}`,
  )
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
    formatters: { level: (label) => ({ severity: SEVERITY[label] ?? 'DEFAULT' }) },
    mixin: () => ({ 'logging.googleapis.com/insertId': `${start}-${String(line++).padStart(9, '0')}` }),
    redact: { paths: REDACT.flatMap((path) => [path, `*.${path}`]), censor: '[redacted]' },
    serializers: { error: serializeError, err: serializeError },
  }
  // Written behind, in batches: a thousand sessions that come up at once must not wait for whoever reads the log.
  if (!options.pretty) return pino(settings, pino.destination({ dest: 1, sync: false, minLength: 0 }))
  return pino(settings, prettyStream())
}

/** The chain of causes, each with its code, masked. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: 'a value that is no Error' }
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  return {
    name: error.name,
    ...(code === undefined ? {} : { code }),
    message: maskPhone(error.message),
    stack: maskPhone(error.stack ?? ''),
    ...(cause === undefined ? {} : { cause: serializeError(cause) }),
  }
}

/** Fields that say nothing to somebody in front of a terminal. */
const HIDDEN = 'serviceContext,logging\\.googleapis\\.com/insertId'

/** For a terminal: time, severity, message, then the fields. */
function prettyStream(): pino.DestinationStream {
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
