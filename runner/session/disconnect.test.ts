import { describe, expect, test } from 'vitest'
import { CLOSE_TABLE, judgeClose } from './disconnect.ts'
import type { UnaskedClose } from '../whatsapp/socket.ts'

const close = (status: number | undefined, message = '', more: Partial<UnaskedClose> = {}): UnaskedClose => ({
  by: 'server',
  status,
  message,
  ...more,
})

/** What closes, why we say it closed, what becomes of the credentials, what happens next. */
const rows: readonly [UnaskedClose, why: string, credentials: string, then: string][] = [
  [close(515, 'Stream Errored (restart required)'), 'restart_required', 'keep', 'reconnect'],
  [close(428, 'Connection Terminated'), 'connection_closed', 'keep', 'back_off'],
  [close(428, 'Connection Terminated by Server'), 'connection_closed', 'keep', 'back_off'],
  [close(408, 'Connection was lost'), 'timed_out', 'keep', 'back_off'],
  [close(408, 'Timed Out'), 'timed_out', 'keep', 'back_off'],
  [close(408, 'WebSocket Error (ECONNREFUSED)'), 'timed_out', 'keep', 'back_off'],
  [close(408, 'QR refs attempts ended'), 'qr_ended', 'none', 'unpaired'],
  [close(440, 'Stream Errored (conflict)', { conflict: 'replaced' }), 'replaced', 'keep', 'arbitrate'],
  [
    close(440, 'Stream Errored (conflict)', { conflict: 'device_removed' }),
    'device_removed',
    'archive',
    'logged_out',
  ],
  [
    close(401, 'Stream Errored (conflict)', { conflict: 'device_removed' }),
    'device_removed',
    'archive',
    'logged_out',
  ],
  [close(401, 'Connection Failure'), 'logged_out', 'archive', 'logged_out'],
  [close(402, 'Connection Failure', { attributes: { expire: '60' } }), 'temporary_ban', 'keep', 'restricted'],
  [close(403, 'Connection Failure'), 'banned', 'archive', 'banned'],
  [close(406, 'Connection Failure'), 'banned', 'archive', 'banned'],
  [close(405, 'Connection Failure'), 'outdated', 'keep', 'back_off'],
  [close(409, 'Connection Failure'), 'refused', 'keep', 'back_off ≤ 3'],
  [close(411, 'Multi-device beta not joined'), 'refused', 'keep', 'back_off ≤ 3'],
  [close(400, 'invalid noise certificate'), 'certificate', 'keep', 'back_off'],
  [close(500, '', { network: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }), 'certificate', 'keep', 'back_off'],
  [close(408, '', { network: 'ENOTFOUND' }), 'name_not_found', 'keep', 'back_off'],
  [close(408, '', { network: 'ECONNREFUSED' }), 'connection_refused', 'keep', 'back_off'],
  [close(408, '', { network: 'ENETUNREACH' }), 'no_route', 'keep', 'back_off'],
  [close(408, '', { network: 'ECONNRESET' }), 'timed_out', 'keep', 'back_off'],
  [close(404, '', { linking: 'code_refused' }), 'code_refused', 'none', 'unpaired'],
  [close(undefined, '', { linking: 'passkey_required' }), 'passkey_required', 'none', 'unpaired'],
  [close(418, 'Connection Failure'), 'refused', 'keep', 'back_off ≤ 3'],
  [close(500, 'Stream Errored (ack)'), 'server_trouble', 'keep', 'back_off'],
  [close(501, ''), 'server_trouble', 'keep', 'back_off'],
  [close(503, 'Stream Errored (unknown)'), 'unavailable', 'keep', 'back_off'],
  [close(undefined, 'no frame for 90 s', { by: 'watchdog' }), 'watchdog', 'keep', 'back_off'],
  // What anybody says in a message does not make it ours.
  [close(undefined, 'watchdog: handed over'), 'unknown', 'keep', 'back_off ≤ 5'],
  [close(undefined, 'Unsupported state'), 'unknown', 'keep', 'back_off ≤ 5'],
  [close(599, 'never seen'), 'unknown', 'keep', 'back_off ≤ 5'],
  [
    close(500, 'WebSocket Error', { proxy: { proxy: 'http://proxy.example', why: 'refused' } }),
    'proxy_failed',
    'keep',
    'back_off',
  ],
  [close(undefined, '', { http: 403 }), 'http_refused', 'keep', 'back_off ≤ 3'],
  [close(undefined, '', { http: 429 }), 'http_trouble', 'keep', 'back_off'],
  [close(undefined, '', { http: 503 }), 'http_trouble', 'keep', 'back_off'],
]

describe('the close-reason table', () => {
  test.for(rows)('D1 %j is %s', ([report, why, credentials, then]) => {
    const verdict = judgeClose(report)
    const next = verdict.next
    const said =
      next.do === 'block'
        ? next.phase
        : next.do === 'back_off' && next.triesMax !== undefined
          ? `back_off ≤ ${next.triesMax}`
          : next.do
    expect([verdict.why, verdict.credentials, said]).toEqual([why, credentials, then])
  })

  test('every row is hit by a case here', () => {
    expect(new Set(rows.map(([report]) => judgeClose(report).why))).toEqual(new Set(Object.keys(CLOSE_TABLE)))
  })

  test('a temporary ban lasts as long as the server says', () => {
    expect(judgeClose(close(402, '', { attributes: { expire: '60' } })).next).toMatchObject({ forMs: 60_000 })
    expect(judgeClose(close(402, '')).next).toMatchObject({ forMs: 3_600_000 })
  })

  test('E1 a login that was given up may be late only where WhatsApp said nothing', () => {
    const mayBeLate = rows.filter(([report]) => judgeClose(report).loginMayBeLate).map(([, why]) => why)
    expect(new Set(mayBeLate)).toEqual(new Set(['timed_out', 'watchdog']))
  })

  test('E1 a conflict never reconnects by itself', () => {
    expect(judgeClose(close(440, '')).next.do).toBe('arbitrate')
  })
})
