import { testBodies } from '#test/bodies.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import pino from 'pino'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import { sessionKey } from '#shared/ids.ts'
import type { LifeId, RunnerId, SessionId, SessionKey, TenantId } from '#shared/ids.ts'
import { CodedError } from '#shared/errors.ts'
import { guardedConnector } from '#shared/net/guarded-connector.ts'
import type { LookUp } from '#shared/net/look-up.ts'
import { seededRandom } from '#shared/random.ts'
import { deriveAgeIdentity, type AgeIdentity } from '#shared/sealing/age-identity.ts'
import { unseenStatus } from '#shared/session.ts'
import type { Status } from '#shared/session.ts'
import type { Scope } from '#shared/store/api-key-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { fakeClock, type FakeClock } from '#test/fake-clock.ts'
import { createControl } from './http/app.ts'
import { sha256Hex } from './http/key-text.ts'
import type { ControlApp, ControlDeps } from './http/context.ts'

export const ADMIN_KEY = 'moor_admin_of_the_tests'
export const RUNNER = 'runner-1' as RunnerId

interface Answer {
  status: number
  headers: Headers
  // A test reads whatever shape it expects; a wrong guess fails as an assertion.
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any
}

export interface ControlWorld extends AsyncDisposable {
  app: ControlApp
  /** What only runners have. */
  inbound: AgeIdentity
  stores: Stores
  /** Time moves only when a test says so. */
  clock: FakeClock
  /** Everything that was logged, as text. */
  logged(): string
  /** Sends a request as the operator unless `key` says otherwise; `''` sends none. */
  ask(
    method: string,
    path: string,
    more?: { key?: string; body?: unknown; headers?: Record<string, string> },
  ): Promise<Answer>
  /** Makes a key of a tenant, answers the key itself. */
  keyOf(tenant: string, ...scopes: Scope[]): Promise<string>
  /** Plays a runner: renews its lease, claims the session, reports a status. */
  report(session: string, status: Partial<Status>): Promise<Status>
  /** Plays a runner that only renews its lease. */
  renew(): Promise<void>
  /** Of the life that the name has, or had last. */
  key(session: string, tenant?: string): SessionKey
}

/** Any name is that of a public host, but for those that say where they lead. */
const namesOfTests: LookUp = async (host) => {
  if (host.startsWith('unknown.')) throw new CodedError('address_unknown', 'the name was not found')
  return [host.startsWith('private.') ? '10.1.2.3' : '93.184.215.14']
}

/** A control API over real embedded stores in a folder of its own, with the tenants `acme` and `rival`. */
export async function controlWorld(more: Partial<ControlDeps> = {}): Promise<ControlWorld> {
  const dataDir = await mkdtemp(join(tmpdir(), 'mooring-control-'))
  const clock = fakeClock()
  // Waiting takes no time here, and time passes by waiting.
  clock.sleep = async (ms, signal) => {
    await clock.advance(ms)
    signal?.throwIfAborted()
  }
  const random = seededRandom(7)
  const stores = await openEmbeddedStores({
    dataDir,
    clock,
    random,
    keyText: 'a key text for tests only, 32+ chars',
  })
  const lines: string[] = []
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  const inbound = await deriveAgeIdentity(Buffer.alloc(32, 'the runners of the tests'), 'inbound')
  const app = createControl({
    bodies: testBodies(),
    stores,
    transfer: { recipient: () => Promise.resolve(inbound.recipient), exportTo: 'passphrase' },
    guard: guardedConnector({ allowPrivate: false, lookUp: namesOfTests }),
    clock,
    random,
    log: pino({ level: 'trace' }, sink),
    adminKeySha256: sha256Hex(ADMIN_KEY),
    keyPepper: 'the pepper of the tests, long enough',
    version: '1.2.3',
    quotaOverrides: { requestsPerSecond: 1000, requestsPerSecondOfKey: 1000 },
    ...more,
  })

  /** As the answers told them, the last one of each name. */
  const lives = new Map<string, LifeId>()
  const key = (session: string, tenant = 'acme'): SessionKey =>
    sessionKey(tenant as TenantId, session as SessionId, lives.get(`${tenant}~${session}`))

  const ask: ControlWorld['ask'] = async (method, path, { key = ADMIN_KEY, body, headers = {} } = {}) => {
    const isJson = body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array)
    const response = await app.request(path, {
      method,
      headers: {
        ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
        ...(isJson ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      ...(body === undefined ? {} : { body: (isJson ? JSON.stringify(body) : body) as string }),
    })
    const text = await response.text()
    const parses = response.headers.get('content-type')?.includes('json') && text !== ''
    const answer = parses ? JSON.parse(text) : text
    if (answer.want && answer.life) lives.set(`${answer.tenant}~${answer.id}`, answer.life)
    return { status: response.status, headers: response.headers, body: answer }
  }

  let beat = 0
  const renew = async (): Promise<void> => {
    beat += 1
    await stores.runners.renew({
      id: RUNNER,
      beat,
      leaseForMs: 10_000,
      draining: false,
      capacity: 100,
      held: 1,
      version: '1.2.3',
      startedAt: clock.nowMs(),
    })
    await clock.advance(600) // the view of the fleet may be half a second old
  }

  const world: ControlWorld = {
    app,
    inbound,
    stores,
    clock,
    ask,
    renew,
    key,
    logged: () => lines.join(''),
    async keyOf(tenant, ...scopes) {
      const { body } = await ask('POST', '/v1/keys', { body: { name: 'test', scopes, tenant } })
      return body.key
    },
    async report(session, status) {
      const nowMs = clock.nowMs()
      await renew()
      const stored = await stores.sessions.get(key(session))
      const owner =
        (await stores.owners.get(key(session))) ??
        (await stores.owners.claim({
          key: key(session),
          runnerId: RUNNER,
          expectEpoch: 0,
          nonce: 'n',
          nowMs,
        }))
      const observed = {
        ...unseenStatus(owner.epoch),
        observedGeneration: stored?.want.generation ?? 0,
        ...status,
      }
      await stores.sessions.reportStatus(key(session), observed, clock.nowMs())
      return observed
    },
    async [Symbol.asyncDispose]() {
      await stores.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
  for (const id of ['acme', 'rival']) await ask('POST', '/v1/tenants', { body: { id } })
  return world
}
