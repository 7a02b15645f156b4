import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import pino from 'pino'
import { describe, expect, test, vi } from 'vitest'
import { createLog } from './log.ts'
import { JID, redact, redactText, SHAPES, TEXT_CHARACTERS_MAX } from './redact.ts'

/** One of each secret that passes through a process, as it looks there. None of it may be read in a log. */
const SECRETS = {
  'an API key': 'moor_k3x9a2bcde_0123456789abcdefghijABCDEFGHIJ0123456789abc',
  'the bootstrap key': 'moor_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',
  'a QR': '2@aGVsbG8gd29ybGQgaGVsbG8=,bm9pc2UgcHVibGlj,aWRlbnRpdHkgcHVi,YWR2IHNlY3JldA==,1',
  'a token of Google': 'Bearer ya29.a0AfH6SMBexampleexample',
  'a proxy with its password': 'socks5://user:s3cr3t-password@10.0.0.1:1080',
  'a jid': '4915112345678:12@s.whatsapp.net',
  'the address of a Signal session': '4915112345678.12@lid',
} as const

/** What of each must not be seen. */
const TELLING = ['0123456789abc', 'bbbbbbbbbb', 'YWR2IHNlY3JldA', 'ya29', 's3cr3t', '15112345']

function logged(write: (log: ReturnType<typeof createLog>) => void): string {
  const lines: string[] = []
  vi.spyOn(pino, 'destination').mockReturnValue({ write: (line: string) => void lines.push(line) } as never)
  write(createLog({ level: 'trace', pretty: false, service: 'mooring-test', version: '1.2.3' }))
  return lines.join('')
}

describe('a secret', () => {
  const shapes = Object.entries(SECRETS)
  const ways: readonly [way: string, write: (log: ReturnType<typeof createLog>, secret: string) => void][] = [
    ['in a field of any name', (log, secret) => log.info({ detail: secret }, 'a line')],
    ['in the middle of a sentence', (log, secret) => log.info({ detail: `with ${secret} in it` }, 'a line')],
    ['deep down', (log, secret) => log.info({ a: { b: [{ c: { d: secret } }] } }, 'a line')],
    ['in a field of a child', (log, secret) => log.child({ by: secret }).info('a line')],
    ['in an error', (log, secret) => log.error({ error: new Error(`no ${secret}`) }, 'a line')],
    ['in the cause of an error', (log, secret) => log.error(new Error('a', { cause: new Error(secret) }))],
  ]
  test.for(
    shapes.flatMap(([name, secret]) => ways.map(([way, write]) => [name, way, secret, write] as const)),
  )('such as %s is not to be read %s', ([, , secret, write]) => {
    const text = logged((log) => write(log, secret))
    expect(text).toContain('"severity"')
    expect(TELLING.filter((part) => text.includes(part))).toEqual([])
  })

  test.for([
    'creds',
    'keys',
    'noiseKey',
    'advSecretKey',
    'text',
    'qr',
    'passphrase',
    'Authorization',
    'x-api-key',
  ])('in a field called %s is not to be read, however deep', (name) => {
    const text = logged((log) =>
      log.info({ [name]: 'hidden', a: { [name]: { b: 'hidden' }, c: [{ [name]: ['hidden'] }] } }, 'a line'),
    )
    expect(text).not.toContain('hidden')
  })

  test('made of bytes is told by its length', () => {
    expect(redact({ a: Buffer.from('hidden'), b: { c: new Uint8Array(3) } })).toEqual({
      a: '[6 bytes]',
      b: { c: '[3 bytes]' },
    })
  })

  test('that is a phone number is masked where a number belongs, and in every jid', () => {
    expect(redact({ phone: '4915112345678', to: '4915112345678', by: '4915112345678@g.us' })).toEqual({
      phone: '49•••••••••78',
      to: '49•••••••••78',
      by: '49•••••••••78@g.us',
    })
  })
})

describe('what is no secret', () => {
  test('is logged as it is', () => {
    const fields = {
      sessionId: 'acme~shop',
      runnerId: 'mooring-runner-00042-1234567.ab12cd',
      version: '2.3000.1043857760',
      from: 'connecting',
      keyPrefix: 'moor_k3x9a2bcde',
      durationMs: 12345678,
      reasons: { logged_out: 1 },
      address: 'ws://127.0.0.1:5222/ws',
      at: new Date(0),
      nothing: null,
    }
    expect(redact(fields)).toEqual(fields)
    expect(redactText('connection_closed after 15:30:12')).toBe('connection_closed after 15:30:12')
  })

  test('goes on being readable in a ring', () => {
    const ring: Record<string, unknown> = { name: 'ring' }
    ring['self'] = ring
    expect(redact(ring)).toMatchObject({ name: 'ring', self: { name: 'ring' } })
  })
})

describe('F3: what a stranger makes long', () => {
  test.for(Object.entries(SECRETS))('is cut, and never in the middle of %s', ([, secret]) => {
    for (let cutAt = 1; cutAt <= secret.length; cutAt++) {
      const before = 'word '.repeat(TEXT_CHARACTERS_MAX).slice(0, TEXT_CHARACTERS_MAX - cutAt - 1)
      const text = redactText(`${before} ${secret} and so on`)
      expect(TELLING.filter((part) => text.includes(part))).toEqual([])
    }
  })

  test('is told by its length', () => {
    const text = redactText('word '.repeat(100_000))
    expect(text).toMatch(/^(word )+word… \[500000 characters\]$/)
    expect(text.length).toBeLessThan(TEXT_CHARACTERS_MAX + 50)
    expect(redactText('x'.repeat(100_000))).toBe('… [100000 characters]')
  })

  test('in an error is cut too', () => {
    const error = Object.assign(new Error('word '.repeat(100_000)), { code: 'word '.repeat(100_000) })
    const text = logged((log) => log.error({ error }, 'a line'))
    expect(text.length).toBeLessThan(4 * TEXT_CHARACTERS_MAX)
  })

  test('or wide, or deep makes a line that ends, whatever it is', () => {
    const wide = (depth: number): unknown =>
      depth === 0 ? 'x' : Array.from({ length: 64 }, () => wide(depth - 1))
    const shown = redact({
      items: Array.from({ length: 100_000 }, (_, at) => at),
      fields: Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`f${at}`, at])),
      tree: wide(3),
    })
    expect(JSON.stringify(shown).length).toBeLessThan(20_000)
    expect(shown).toMatchObject({ items: expect.arrayContaining(['… 100000 in all']) })
  })

  test('never holds a number of a jid, wherever it stands in it', () => {
    const filler = fc.string({ unit: fc.constantFrom(' ', '.', ':', '_', '-', '@', '1', 'a', ',', '/') })
    fc.assert(
      fc.property(filler, filler, (before, after) => {
        expect(redactText(`${before}4915112345678@${after}`)).not.toContain('15112345')
      }),
    )
  })

  /**
   * What goes over such a text once for each of its characters takes many minutes, so the time limit is a watchdog, no
   * measurement: all of these together take a second.
   */
  test('is walked over once by each pattern, also where it is made to be walked over again and again', async () => {
    const patterns = [...SHAPES.map(([shape]) => shape), JID]
    const script = `
      import { redactText } from './shared/redact.ts'
      const BYTES = 2 ** 18
      const pumps = ['1', '1.', '1:', '_1', '1@', '1@a', '1@aaaaaaaaaaaaaaaa', '1@aaaaaaaaaaaaaaaa,', 'a', ',', 'moor_',
        'moor_0123456789', 'Bearer', 'Bearer ', 'Basic  ', ' ', '://', '://a', '://a:', 'a:', ':a', '@', '/', '\\u00a0', '.', '-']
      let walks = 0
      for (const pattern of [${patterns.join(', ')}]) {
        for (const pump of pumps) {
          for (const start of ['', '1@', 'moor_', 'Bearer ', '://', '://a:']) {
            const text = start + pump.repeat(BYTES / pump.length)
            text.replaceAll(pattern, '')
            redactText(text)
            walks++
          }
        }
      }
      console.log(walks)`
    const walked = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: join(import.meta.dirname, '..'),
      timeout: 80_000,
    })
    expect(Number(walked.stdout)).toBe(5 * 26 * 6)
  })
})
