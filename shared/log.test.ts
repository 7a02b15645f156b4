import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pino from 'pino'
import { describe, expect, test, vi } from 'vitest'
import { CodedError } from './errors.ts'
import { createLog, type Log } from './log.ts'
import { maskPhone } from './redact.ts'

interface Line {
  severity: string
  message: string
  [field: string]: unknown
}

/** A log as it is in production, but for where its lines go. */
function begin(level = 'trace'): { log: Log; lines: Line[]; text: () => string } {
  const written: string[] = []
  const stream = { write: (line: string) => void written.push(line) }
  vi.spyOn(pino, 'destination').mockReturnValue(stream as never)
  const log = createLog({ level, pretty: false, service: 'mooring-test', version: '1.2.3' })
  return {
    log,
    get lines() {
      return written.map((line) => JSON.parse(line) as Line)
    },
    text: () => written.join(''),
  }
}

describe('a log line', () => {
  test('is what Cloud Logging reads: severity, time, message, service', () => {
    const world = begin()
    world.log.info({ sessionId: 'acme~shop', epoch: 7 }, 'session opened')
    expect(world.lines).toMatchObject([
      {
        severity: 'INFO',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        message: 'session opened',
        sessionId: 'acme~shop',
        tenant: 'acme',
        epoch: 7,
        serviceContext: { service: 'mooring-test', version: '1.2.3' },
        'logging.googleapis.com/insertId': expect.any(String),
      },
    ])
  })

  test.for([
    ['trace', 'DEBUG'],
    ['debug', 'DEBUG'],
    ['info', 'INFO'],
    ['warn', 'WARNING'],
    ['error', 'ERROR'],
    ['fatal', 'CRITICAL'],
  ] as const)('of level %s has the severity %s', ([level, severity]) => {
    const world = begin()
    world.log[level]('hello')
    expect(world.lines).toMatchObject([{ severity, message: 'hello' }])
  })

  test('has an insert id that keeps lines of the same millisecond in order', () => {
    const world = begin()
    for (let line = 0; line < 12; line++) world.log.child({ component: 'runner' }).info('hello')
    const ids = world.lines.map((line) => String(line['logging.googleapis.com/insertId']))
    expect(new Set(ids).size).toBe(12)
    expect(ids.toSorted()).toEqual(ids)
  })

  test('below the level is not written', () => {
    const world = begin('warn')
    world.log.info('hello')
    expect(world.lines).toEqual([])
  })
})

const SECRETS = [
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

describe('what nobody may read', () => {
  test.for(SECRETS)('%s is redacted, at the top and one level below', (name) => {
    const world = begin()
    world.log.info(
      { [name]: 'hidden', session: { [name]: { deep: 'hidden' }, id: 's' } },
      'logged by mistake',
    )
    expect(world.text()).not.toContain('hidden')
    expect(world.lines).toMatchObject([{ [name]: '[redacted]', session: { [name]: '[redacted]', id: 's' } }])
  })

  test.for<[string, string]>([
    ['491701234567', '49••••••••67'],
    ['491701234567:12@s.whatsapp.net', '49••••••••67:12@s.whatsapp.net'],
    ['from 4917000000001 to 4917000000002', 'from 49•••••••••01 to 49•••••••••02'],
    ['1234567', '12•••67'],
    ['code 405 after 60000 ms', 'code 405 after 60000 ms'],
    ['', ''],
  ])('the number in "%s" is masked', ([text, masked]) => {
    expect(maskPhone(text)).toBe(masked)
  })
})

describe('an error', () => {
  test('is told with the chain of its causes, each with its code', () => {
    const world = begin()
    const vendor = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
    const error = new CodedError('store_unavailable', 'append entry', { cause: vendor })
    world.log.error({ error }, 'step failed')
    expect(world.lines).toMatchObject([
      {
        severity: 'ERROR',
        message: 'step failed',
        error: {
          name: 'CodedError',
          code: 'store_unavailable',
          message: 'append entry',
          stack: expect.stringContaining('append entry'),
          cause: { name: 'Error', code: 'ECONNRESET', message: 'socket hang up' },
        },
      },
    ])
  })

  test('has the numbers in its text and its causes masked', () => {
    const world = begin()
    const cause = new Error('no session for 491701234567.0')
    world.log.warn({ error: new Error('send to 491701234567@s.whatsapp.net', { cause }) }, 'not sent')
    world.log.warn({ err: new Error('491701234567') }, 'not sent either')
    expect(world.text()).not.toContain('1701234567')
    expect(world.text()).toContain('49••••••••67')
  })

  test('that is none says so, and shows nothing of itself', () => {
    const world = begin()
    world.log.error({ error: { creds: 'secret' } }, 'thrown by a library')
    expect(world.lines).toMatchObject([{ error: { message: 'a value that is no Error' } }])
    expect(world.text()).not.toContain('secret')
  })

  test('that is its own cause does not end the process', () => {
    const world = begin()
    const error = new Error('round')
    error.cause = new Error('and round', { cause: error })
    world.log.error({ error }, 'a ring')
    expect(world.lines).toMatchObject([{ error: { message: 'round', cause: { message: 'and round' } } }])
  })
})

describe('a process that logs', () => {
  /** What a process wrote to its standard output before it ended. */
  async function written(pretty: boolean, then: string): Promise<string> {
    const script = `
      import { createLog } from './shared/log.ts'
      const log = createLog({ level: 'info', pretty: ${pretty}, service: 'mooring-test', version: '1.2.3' })
      ${then}`
    const cwd = join(import.meta.dirname, '..')
    const args = ['--input-type=module', '--eval', script]
    return (await promisify(execFile)(process.execPath, args, { cwd })).stdout
  }

  test('has written every line when it exits', async () => {
    const text = await written(
      false,
      "for (let line = 0; line < 2000; line++) log.info({ line }, 'hello'); process.exit(0)",
    )
    expect(text.trimEnd().split('\n')).toHaveLength(2_000)
  })

  test('on a terminal writes the same lines for people', async () => {
    const text = await written(
      true,
      "log.info({ sessionId: 'acme~shop', creds: 'hidden' }, 'session opened')",
    )
    expect(text).toMatch(/INFO.*session opened.*acme~shop/)
    expect(text).not.toMatch(/hidden|insertId|serviceContext/)
  })
})
