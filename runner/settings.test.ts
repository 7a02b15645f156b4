import { expect, test } from 'vitest'
import { readConfig } from '#shared/config.ts'
import { runnerSettings } from './settings.ts'
import { WATCHDOG_TIMES } from './session/watchdog.ts'
import { WEB_PAGE } from './version/web-page.ts'

const settings = (env: Record<string, string> = {}) => runnerSettings(readConfig(env), '1.2.3')

test('without any setting a runner works as the design says', () => {
  const { runner, baileys } = settings()
  expect(runner).toMatchObject({
    version: '1.2.3',
    lease: { renewEveryMs: 2_500, renewWithinMs: 6_500, leaseForMs: 10_000 },
    watchdog: { ...WATCHDOG_TIMES, connectMs: 40_000 },
    resyncEveryMs: 120_000,
    connectsPerSecond: 10,
    reconcile: true,
  })
  expect(runner.name).toMatch(/^[A-Za-z0-9._-]{1,41}$/)
  expect(baileys).toMatchObject({ url: undefined, keepAliveEveryMs: 30_000 })
})

test('the other runners are looked at every second where a look is free, else when their leases ask for it', () => {
  expect(settings().runner.lookEveryMs).toBe(1_000)
  const google = {
    MOORING_STORE: 'google',
    MOORING_ADMIN_KEY: `moor_${'a'.repeat(40)}`,
    MOORING_KEY_PEPPER: 'p'.repeat(32),
    MOORING_CONTENT_SECRET: 'c'.repeat(32),
    GOOGLE_CLOUD_PROJECT: 'p',
    MOORING_BUCKET: 'b',
    MOORING_KMS_KEY: 'projects/p/locations/l/keyRings/r/cryptoKeys/k',
  }
  expect(settings(google).runner.lookEveryMs).toBeUndefined()
})

test('E6 a switch turns the monitor off', () => {
  for (const word of ['off', 'false', '0', 'no', 'OFF'])
    expect(settings({ MOORING_RECONCILE: word }).runner.reconcile).toBe(false)
  for (const word of ['on', 'true', '1', 'yes'])
    expect(settings({ MOORING_RECONCILE: word }).runner.reconcile).toBe(true)
})

test('a connection is silent after three missed pings, whatever their period', () => {
  const { watchdog } = settings({ MOORING_KEEP_ALIVE_EVERY_MS: '1000' }).runner
  expect(watchdog).toMatchObject({ silenceMs: 3_000, lookEveryMs: 1_000 })
  expect(settings({ MOORING_KEEP_ALIVE_EVERY_MS: '60000' }).runner.watchdog.lookEveryMs).toBe(5_000)
})

test('the watchdog waits for longer than the library itself', () => {
  const { runner, baileys } = settings({ MOORING_CONNECT_TIMEOUT_MS: '60000' })
  expect(baileys.connectTimeoutMs).toBe(60_000)
  expect(runner.watchdog.connectMs).toBeGreaterThan(baileys.connectTimeoutMs)
})

test('F11: WhatsApp’s page is read by default, and not for another server or for a version that was chosen', () => {
  const version = '2.3000.1043857760'
  const url = 'ws://127.0.0.1:1/ws'
  const page = 'http://127.0.0.1:1/sw.js'
  expect([
    settings({}).whatsappVersion,
    settings({ MOORING_WHATSAPP_URL: url }).whatsappVersion,
    settings({ MOORING_WHATSAPP_URL: url, MOORING_WHATSAPP_PAGE_URL: page }).whatsappVersion,
    settings({ MOORING_WHATSAPP_VERSION: version }).whatsappVersion,
  ]).toEqual([
    { chosen: undefined, page: WEB_PAGE },
    { chosen: undefined, page: undefined },
    { chosen: undefined, page },
    { chosen: version, page: undefined },
  ])
})

test('what is set is used', () => {
  const { runner, baileys } = settings({
    MOORING_RUNNER_ID: 'blue',
    MOORING_CAPACITY: '7',
    MOORING_CONNECTS_PER_SECOND: '0.5',
    MOORING_CONNECTING_MAX: '3',
    MOORING_RESYNC_EVERY_MS: '100',
    MOORING_REBALANCE_PER_MINUTE: '0',
    MOORING_WHATSAPP_URL: 'ws://127.0.0.1:1/ws',
  })
  expect(runner).toMatchObject({
    name: 'blue',
    capacity: 7,
    connectsPerSecond: 0.5,
    connectingMax: 3,
    resyncEveryMs: 100,
    rebalancePerMinute: 0,
  })
  expect(baileys.url).toBe('ws://127.0.0.1:1/ws')
})
