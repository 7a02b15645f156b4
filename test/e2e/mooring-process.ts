import { toError } from '#shared/errors.ts'
import { mooringApi, type Api } from './api.ts'
import { startChild, type Child, type Ending } from './child.ts'
import { eventually } from './eventually.ts'

/** A line of the log, parsed. */
export interface LogLine {
  severity: string
  message: string
  sessionId?: string
  [field: string]: unknown
}

export interface MooringOptions {
  dataDir: string
  workDir: string
  adminKey: string
  tenant: string
  whatsappUrl: string
  /** More settings, or others than the harness would choose. */
  env?: Readonly<Record<string, string>>
}

/** One running Mooring, started as `npm start` starts it. */
export interface MooringProcess {
  readonly child: Child
  readonly port: number
  readonly api: Api
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<Ending>
  /** SIGTERM. Resolves when it is gone. */
  stop(): Promise<Ending>
  /** The log so far, or its lines with this message. */
  log(message?: string): LogLine[]
  /** Waits for a line of the log. @throws Error with its last words when the line does not come, or it ends without it */
  says(message: string, fits?: (line: LogLine) => unknown): Promise<LogLine>
  /** The last lines, for whoever has to find out why a test failed. */
  tail(): string
}

const TAIL_LINES = 60

/** Starts one and waits until it listens. @throws Error with its last words when it ends before that */
export async function startMooring(options: MooringOptions): Promise<MooringProcess> {
  const { dataDir, workDir, adminKey, tenant, whatsappUrl, env } = options
  const child = startChild(['--import', './test/whatsapp/trust.ts', 'mooring.ts'], {
    MOORING_DATA_DIR: dataDir,
    MOORING_WORK_DIR: workDir,
    MOORING_HOST: '127.0.0.1',
    PORT: '0',
    MOORING_ADMIN_KEY: adminKey,
    MOORING_WHATSAPP_URL: whatsappUrl,
    MOORING_CONNECTS_PER_SECOND: '1000',
    MOORING_CONNECT_TIMEOUT_MS: '5000',
    ...env,
  })
  const log = logOf(child)
  const listening = (): LogLine | undefined => log('listening')[0]
  await eventually('mooring to listen', () => listening() ?? !child.alive)
  const line = listening()
  if (!line) {
    const { code, signal } = await child.ended
    throw new Error(`mooring ended (${code ?? signal}) before it listened:\n${tailOf(child)}`)
  }
  const port = Number(line['port'])
  return {
    child,
    port,
    api: mooringApi({ url: `http://127.0.0.1:${port}`, key: adminKey, tenant }),
    kill: () => child.end('SIGKILL'),
    stop: () => child.end('SIGTERM'),
    log,
    says: async (message, fits = () => true) => {
      const said = (): LogLine | undefined => log(message).find(fits)
      const doing = `the log to say "${message}"`
      await eventually(doing, () => said() ?? !child.alive).catch((error: unknown) => {
        throw new Error(`${toError(error).message}\nits last words:\n${tailOf(child)}`, { cause: error })
      })
      // The last lines of a process that ended may come after its end.
      await (child.alive ? undefined : child.ended)
      const line = said()
      if (!line) throw new Error(`mooring ended while waiting for: ${doing}\n${tailOf(child)}`)
      return line
    },
    tail: () => tailOf(child),
  }
}

function logOf(child: Child): MooringProcess['log'] {
  const parsed: LogLine[] = []
  let read = 0
  return (message) => {
    for (; read < child.lines.length; read++) {
      const line = parse(child.lines[read])
      if (line) parsed.push(line)
    }
    return message === undefined ? parsed : parsed.filter((line) => line.message === message)
  }
}

/** `undefined` for what is no line of the log: words of Node itself, or a line that SIGKILL tore. */
function parse(text: string | undefined): LogLine | undefined {
  try {
    return text?.startsWith('{') ? (JSON.parse(text) as LogLine) : undefined
  } catch {
    return undefined
  }
}

const SAME_IN_EVERY_LINE = new Set(['serviceContext', 'logging.googleapis.com/insertId', 'message', 'time'])

function tailOf(child: Child): string {
  const lines = child.lines.slice(-TAIL_LINES).map((text) => {
    const line = parse(text)
    if (!line) return text
    const fields = Object.entries(line).filter(([name]) => !SAME_IN_EVERY_LINE.has(name))
    return `${String(line['time']).slice(11, 23)} ${line.message} ${JSON.stringify(Object.fromEntries(fields))}`
  })
  return lines.join('\n')
}
