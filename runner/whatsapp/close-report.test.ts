import { describe, expect, test } from 'vitest'
import { judgeClose } from '../session/disconnect.ts'
import { closeReport } from './close-report.ts'

/** What Baileys ends a connection with. */
const boom = (statusCode: number, message: string, data?: unknown): Error =>
  Object.assign(new Error(message), { isBoom: true, output: { statusCode }, data })

const conflict = (type: string) => ({ tag: 'conflict', attrs: { type } })

/** The close, and the word that the close-reason table has for what is reported of it. */
const rows: readonly [says: string, error: Error | undefined, http: number | undefined, why: string][] = [
  [
    'a stream error with its stanza',
    boom(515, 'Stream Errored (restart required)', { tag: 'stream:error', attrs: { code: '515' } }),
    undefined,
    'restart_required',
  ],
  [
    'E1 a replaced connection',
    boom(440, 'Stream Errored (conflict)', conflict('replaced')),
    undefined,
    'replaced',
  ],
  [
    'a removed device with its code',
    boom(401, 'Stream Errored (conflict)', conflict('device_removed')),
    undefined,
    'device_removed',
  ],
  [
    'a removed device under the code of the other conflict',
    boom(440, 'Stream Errored (conflict)', conflict('device_removed')),
    undefined,
    'device_removed',
  ],
  ['D1 a lost connection', boom(408, 'Connection was lost'), undefined, 'timed_out'],
  [
    'D1 a refused TCP connection with its error as data',
    boom(408, 'WebSocket Error (ECONNREFUSED)', Object.assign(new Error('x'), { code: 'ECONNREFUSED' })),
    undefined,
    'connection_refused',
  ],
  [
    'a name that is not found',
    boom(408, 'WebSocket Error (ENOTFOUND)', Object.assign(new Error('x'), { code: 'ENOTFOUND' })),
    undefined,
    'name_not_found',
  ],
  [
    'a certificate, under the status of whatever is not known',
    boom(500, 'WebSocket Error (expired)', Object.assign(new Error('x'), { code: 'CERT_HAS_EXPIRED' })),
    undefined,
    'certificate',
  ],
  [
    'D1 a time-out with only a stack as data',
    boom(408, 'Timed Out', { stack: 'at …' }),
    undefined,
    'timed_out',
  ],
  ['a QR that nobody scanned', boom(408, 'QR refs attempts ended'), undefined, 'qr_ended'],
  [
    'a failed login',
    boom(401, 'Connection Failure', { reason: '401', location: 'frc' }),
    undefined,
    'logged_out',
  ],
  ['an upgrade that was refused', new Error('the server answered 503'), 503, 'http_trouble'],
  ['a plain error', new Error('Unsupported state'), undefined, 'unknown'],
  ['nothing at all', undefined, undefined, 'unknown'],
]

describe('a close is reported', () => {
  test.for(rows)('as plain data: %s', ([, error, http, why]) => {
    const report = closeReport(error, http)
    expect(structuredClone(report)).toEqual(report)
    expect(judgeClose(report).why).toBe(why)
  })

  test('with the attributes of a failure, texts only', () => {
    const attributes = { reason: '402', code: '101', expire: '3600', logout_message_header: 'Sorry' }
    const report = closeReport(boom(402, 'Connection Failure', { ...attributes, list: [1] }), undefined)
    expect(report).toMatchObject({ status: 402, attributes, conflict: undefined })
    expect(judgeClose(report).next).toMatchObject({ phase: 'restricted', forMs: 3_600_000 })
  })

  test.for<[string, unknown]>([
    ['a stanza', { tag: 'conflict', attrs: { type: 'replaced' } }],
    ['an error', new Error('x')],
    ['a number', 429],
    ['null', null],
    ['an empty object', {}],
  ])('without attributes where the data is %s', ([, data]) => {
    expect(closeReport(boom(500, 'x', data), undefined).attributes).toBeUndefined()
  })
})
