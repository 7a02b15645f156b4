import { describe, expect, test } from 'vitest'
import { defaultRunnerName, readConfig } from './config.ts'
import type { CodedError } from './errors.ts'

/** What is said of settings that are not usable. */
function refusal(env: Record<string, string | undefined>): string {
  try {
    readConfig(env)
  } catch (error) {
    expect(error).toMatchObject({ name: 'CodedError', code: 'config' })
    return (error as CodedError).message
  }
  return 'it was usable'
}

const KEY = `moor_${'k'.repeat(32)}`
const google = {
  MOORING_STORE: 'google',
  GOOGLE_CLOUD_PROJECT: 'project',
  MOORING_BUCKET: 'bucket',
  MOORING_KMS_KEY: 'projects/p/locations/l/keyRings/r/cryptoKeys/k',
  MOORING_ADMIN_KEY: KEY,
  MOORING_KEY_PEPPER: 'p'.repeat(32),
  MOORING_CONTENT_SECRET: 'c'.repeat(32),
}

describe('the settings', () => {
  test('are all optional on one machine', () => {
    expect(readConfig({})).toEqual({
      MOORING_ROLE: 'all',
      MOORING_STORE: 'embedded',
      MOORING_DATA_DIR: './.mooring',
      PORT: 8080,
      MOORING_HOST: '127.0.0.1',
      MOORING_CORS_ORIGINS: [],
      MOORING_TRUSTED_PROXIES: 0,
      MOORING_WHATSAPP_VERSION: 'auto',
      MOORING_INSTANCES: 1,
      MOORING_STREAMS_MAX: 1_000,
      MOORING_ALLOW_PRIVATE_ADDRESSES: false,
      MOORING_RECONCILE: true,
      MOORING_RENEW_EVERY_MS: 2_500,
      MOORING_RENEW_WITHIN_MS: 6_500,
      MOORING_LEASE_FOR_MS: 10_000,
      MOORING_RESYNC_EVERY_MS: 120_000,
      MOORING_ROTATE_KEYS_DAYS: 90,
      MOORING_CONNECTS_PER_SECOND: 10,
      MOORING_CONNECTING_MAX: 50,
      MOORING_REBALANCE_PER_MINUTE: 6,
      MOORING_CAPACITY: 500,
      MOORING_CONNECT_TIMEOUT_MS: 20_000,
      MOORING_KEEP_ALIVE_EVERY_MS: 30_000,
      MOORING_LOG_LEVEL: 'info',
      MOORING_BAILEYS_LOG_LEVEL: 'silent',
      MOORING_FIRESTORE_DATABASE: '(default)',
    })
  })

  test('that are empty are not set, and those of others are nobody’s business', () => {
    expect(readConfig({ PORT: '', MOORING_KEY: '', MOORING_ADMIN_KEY: undefined, HOME: '/root' })).toEqual(
      readConfig({}),
    )
  })

  test('that name origins are taken as browsers write them, and nothing wider', () => {
    const MOORING_CORS_ORIGINS = 'https://app.example.com, http://localhost:3000'
    expect(readConfig({ MOORING_CORS_ORIGINS })).toMatchObject({
      MOORING_CORS_ORIGINS: ['https://app.example.com', 'http://localhost:3000'],
    })
    const wrong = [
      '*',
      'app.example.com',
      'https://app.example.com/',
      'https://*.example.com/x',
      'null',
      'https://a,,',
    ]
    for (const text of wrong)
      expect(() => readConfig({ MOORING_CORS_ORIGINS: text })).toThrow(
        /MOORING_CORS_ORIGINS: must be origins/,
      )
  })

  test('are read as what they mean', () => {
    const config = readConfig({
      PORT: '0',
      MOORING_ROLE: 'runner',
      MOORING_CONNECTS_PER_SECOND: '0.5',
      MOORING_RECONCILE: 'off',
      MOORING_RUNNER_ID: 'runner-1.eu',
      MOORING_WHATSAPP_URL: 'wss://web.whatsapp.com/ws/chat',
      MOORING_KEY: 's'.repeat(32),
      MOORING_ADMIN_KEY: KEY,
    })
    expect(config).toMatchObject({
      PORT: 0,
      MOORING_ROLE: 'runner',
      MOORING_CONNECTS_PER_SECOND: 0.5,
      MOORING_RECONCILE: false,
      MOORING_RUNNER_ID: 'runner-1.eu',
    })
  })
})

describe('a bad setting is named', () => {
  test.for<[name: string, value: string]>([
    ['MOORING_ROLE', 'both'],
    ['MOORING_STORE', 'redis'],
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', 'http'],
    ['PORT', '80.5'],
    ['MOORING_ADMIN_KEY', 'secret'],
    ['MOORING_ADMIN_KEY', 'moor_short'],
    ['MOORING_ADMIN_KEY', `moor_${'k'.repeat(31)}!`],
    ['MOORING_KEY', 'short'],
    ['MOORING_WHATSAPP_URL', 'https://web.whatsapp.com'],
    ['MOORING_RUNNER_ID', '-runner'],
    ['MOORING_RUNNER_ID', 'a runner'],
    ['MOORING_RUNNER_ID', 'r'.repeat(42)],
    ['MOORING_RENEW_EVERY_MS', '0'],
    ['MOORING_RENEW_WITHIN_MS', 'soon'],
    ['MOORING_LEASE_FOR_MS', '199'],
    ['MOORING_RESYNC_EVERY_MS', '99'],
    ['MOORING_CONNECTS_PER_SECOND', '0'],
    ['MOORING_CONNECTING_MAX', '0'],
    ['MOORING_REBALANCE_PER_MINUTE', '-1'],
    ['MOORING_CAPACITY', '1e9'],
    ['MOORING_CONNECT_TIMEOUT_MS', '1'],
    ['MOORING_KEEP_ALIVE_EVERY_MS', '1'],
    ['MOORING_WHATSAPP_VERSION', '2.3000'],
    ['MOORING_LOG_LEVEL', 'loud'],
    ['MOORING_BAILEYS_LOG_LEVEL', 'loud'],
  ])('%s %s', ([name, value]) => {
    expect(refusal({ [name]: value })).toContain(`${name}: `)
  })

  test('together with every other one', () => {
    const said = refusal({ PORT: 'x', MOORING_ROLE: 'x', MOORING_CAPACITY: 'x' })
    for (const name of ['PORT', 'MOORING_ROLE', 'MOORING_CAPACITY']) expect(said).toContain(`${name}: `)
  })

  test('without its value, which may be a secret', () => {
    const env = { MOORING_ADMIN_KEY: 'moor_oops', MOORING_KEY: 'oops', MOORING_WHATSAPP_URL: 'oops://oops' }
    expect(refusal(env)).not.toContain('oops')
  })
})

describe('a name that begins as ours do and is not known', () => {
  test.for<[name: string, nearestOne: string]>([
    ['MOORING_ROLES', 'MOORING_ROLE'],
    ['MOORING_DATADIR', 'MOORING_DATA_DIR'],
    ['MOORING_CONNECTS_PER_SECONDS', 'MOORING_CONNECTS_PER_SECOND'],
    ['MOORING_PORT', 'MOORING_HOST'],
    ['MOORING_ADMINKEY', 'MOORING_ADMIN_KEY'],
    [`MOORING_BUCKETS${'S'.repeat(10_000)}`, 'MOORING_'],
  ])('stops the start with the nearest known one: %s', ([name, nearestOne]) => {
    const said = refusal({ [name]: 's3cr3t' })
    expect(said).toContain(`${name}: is not known; the nearest known name is ${nearestOne}`)
    expect(said).not.toContain('s3cr3t')
  })

  test('is told together with what else is wrong', () => {
    const said = refusal({ MOORING_ROLES: 'all', PORT: 'x' })
    for (const name of ['MOORING_ROLES', 'PORT']) expect(said).toContain(`${name}: `)
  })

  test.for<[name: string, value: string]>([
    ['MOORING_API_KEY', KEY],
    ['MOORING_URL', 'http://127.0.0.1:8080'],
    ['MOORING_SERVICE_HOST', '10.0.0.7'],
    ['MOORING_CONTROL_SERVICE_PORT_HTTP', '8080'],
    ['MOORING_PORT', 'tcp://10.0.0.7:8080'],
    ['MOORING_PORT_8080_TCP_ADDR', '10.0.0.7'],
    ['MOORING_ROLES', ''],
    ['mooring_roles', 'all'],
  ])('is nobody’s business where somebody else set it, or nobody did: %s=%s', ([name, value]) => {
    expect(readConfig({ [name]: value })).toEqual(readConfig({}))
  })
})

describe('the lease times', () => {
  test.for<[says: string, every: number, within: number, lease: number, named: string | undefined]>([
    ['may be short', 50, 100, 200, undefined],
    ['leave time to renew', 1_000, 1_200, 5_000, 'MOORING_RENEW_EVERY_MS'],
    ['leave just enough time to renew', 1_000, 1_201, 5_000, undefined],
    ['end before others may take over', 1_000, 5_000, 5_000, 'MOORING_RENEW_WITHIN_MS'],
    ['end just before others may take over', 1_000, 4_999, 5_000, undefined],
  ])('%s: %d, %d, %d', ([, every, within, lease, named]) => {
    const env = {
      MOORING_RENEW_EVERY_MS: String(every),
      MOORING_RENEW_WITHIN_MS: String(within),
      MOORING_LEASE_FOR_MS: String(lease),
    }
    if (named === undefined) expect(readConfig(env)).toMatchObject({ MOORING_LEASE_FOR_MS: lease })
    else expect(refusal(env)).toContain(`${named}: `)
  })
})

describe('the Google stores', () => {
  test('are usable with a project, a bucket, a key, an admin key and a pepper', () => {
    expect(readConfig(google)).toMatchObject({
      MOORING_STORE: 'google',
      MOORING_FIRESTORE_DATABASE: '(default)',
    })
  })

  test.for(['GOOGLE_CLOUD_PROJECT', 'MOORING_BUCKET', 'MOORING_KMS_KEY', 'MOORING_ADMIN_KEY'] as const)(
    'need %s',
    (name) => {
      expect(refusal({ ...google, [name]: undefined })).toContain(`${name}: is needed`)
    },
  )

  test.for(['all', 'control'])('need a pepper wherever control is served: %s', (role) => {
    const env = { ...google, MOORING_ROLE: role }
    expect(readConfig(env).MOORING_KEY_PEPPER).toBe(google.MOORING_KEY_PEPPER)
    expect(refusal({ ...env, MOORING_KEY_PEPPER: undefined })).toContain(
      'MOORING_KEY_PEPPER: is needed by control when MOORING_STORE is google; ' +
        'without it whoever writes the database could make API keys',
    )
    expect(refusal({ ...env, MOORING_KEY_PEPPER: 'p'.repeat(31) })).toContain(
      'MOORING_KEY_PEPPER: must hold at least 32',
    )
  })

  test('need neither admin key nor pepper for a runner alone, which serves nobody', () => {
    const env = { ...google, MOORING_ADMIN_KEY: undefined, MOORING_KEY_PEPPER: undefined }
    expect(readConfig({ ...env, MOORING_ROLE: 'runner' }).MOORING_ROLE).toBe('runner')
  })
})

test('a process without a name gets one that is a name', () => {
  expect(readConfig({ MOORING_RUNNER_ID: defaultRunnerName() }).MOORING_RUNNER_ID).toBe(defaultRunnerName())
})
