import { timingSafeEqual } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import { LRUCache } from 'lru-cache'
import { CodedError } from '#shared/errors.ts'
import { parseTenantId } from '#shared/ids.ts'
import type { TenantId } from '#shared/ids.ts'
import type { ApiKey, Scope } from '#shared/store/api-key-store.ts'
import { addressOf } from './address.ts'
import type { Caller, ControlContext, ControlEnv, Services } from './context.ts'
import { hasMac, sha256Hex } from './key-text.ts'

/** A use is noted at most this often: the date is for people, and every note is a write. */
const TOUCH_EVERY_MS = 60_000
/** 100 bytes each. */
const KEYS_MAX = 10_000

/** Finds out who asks, and how often. Every route below `/v1` and `/metrics` passes through here. */
export function authenticate(services: Services): MiddlewareHandler<ControlEnv> {
  const { quotas } = services
  /** Keys that were good, and when their use was noted. */
  const good = new LRUCache<string, { tenant: TenantId | undefined; touchedAtMs: number }>({ max: KEYS_MAX })

  const looking = new Map<string, Promise<Caller | undefined>>()

  return async function authenticate(c, next) {
    const key = presentedKey(c)
    if (key === undefined) throw new CodedError('unauthorized', 'This request carries no API key.')
    const sha256 = sha256Hex(key)
    const known = good.get(sha256)
    if (known) await quotas.request({ sha256, ...(known.tenant && { tenant: known.tenant }) })
    const caller = await (known ? find(key, sha256) : findFirst(c, key, sha256))
    if (!caller) {
      good.delete(sha256)
      throw new CodedError('unauthorized', 'This API key is not known, was revoked or has expired.')
    }
    if (!known) await quotas.request(caller)
    noteUse(caller, known?.touchedAtMs)
    c.set('caller', caller)
    await next()
  }

  async function find(key: string, sha256: string): Promise<Caller | undefined> {
    const caller = await findCaller(services, sha256)
    const isOurs = caller && (isBootstrap(services, sha256) || hasMac(services.keyPepper, key, caller))
    return isOurs ? caller : undefined
  }

  /**
   * Looking a key up costs a read of the store. One that was good pays with its own requests; any other with the tokens of the
   * address that it comes from, which does not hold up those that are known to be good behind the same address. Several
   * requests that begin a key's life here are one look.
   */
  async function findFirst(c: ControlContext, key: string, sha256: string): Promise<Caller | undefined> {
    const begun = looking.get(sha256)
    if (begun) return begun
    if (isBootstrap(services, sha256)) return find(key, sha256)
    const takeBack = quotas.tryKey(addressOf(c, services.trustedProxies))
    const look = find(key, sha256)
    looking.set(sha256, look)
    try {
      const caller = await look
      if (caller) takeBack()
      return caller
    } catch (error) {
      // The store's fault, not the key's.
      takeBack()
      throw error
    } finally {
      looking.delete(sha256)
    }
  }

  /** Not awaited, never fatal: a store that can't take the note must not fail the request. */
  function noteUse({ sha256, tenant, prefix }: Caller, touchedAtMs: number | undefined): void {
    const nowMs = services.clock.monotonicMs()
    if (touchedAtMs !== undefined && nowMs - touchedAtMs < TOUCH_EVERY_MS) return
    good.set(sha256, { tenant, touchedAtMs: nowMs })
    if (isBootstrap(services, sha256)) return
    services.stores.apiKeys.touch(sha256, services.clock.nowMs()).catch((error: unknown) => {
      services.log.debug({ error, keyPrefix: prefix }, 'could not note the use of a key')
    })
  }
}

function presentedKey(c: ControlContext): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
  return bearer ?? c.req.header('x-api-key')
}

/** `undefined` for a key that is unknown, revoked or expired. Also asked again while an event stream stays open. */
export async function findCaller(services: Services, sha256: string): Promise<Caller | undefined> {
  if (isBootstrap(services, sha256)) return { sha256, prefix: 'bootstrap', scopes: ['admin'] }
  const key = await services.stores.apiKeys.find(sha256)
  const isGood = key !== undefined && key.revokedAt === undefined && !hasExpired(services, key)
  return isGood ? callerOf(key) : undefined
}

export const hasExpired = (services: Services, { expiresAt }: Pick<Caller, 'expiresAt'>): boolean =>
  expiresAt !== undefined && expiresAt <= services.clock.nowMs()

const callerOf = ({ sha256, prefix, scopes, tenant, sessions, expiresAt }: ApiKey): Caller => ({
  sha256,
  prefix,
  scopes,
  ...(tenant === undefined ? {} : { tenant }),
  ...(sessions === undefined ? {} : { sessions }),
  ...(expiresAt === undefined ? {} : { expiresAt }),
})

/** Both sides are hashes already; comparing them in constant time costs nothing and leaves nothing to argue about. */
function isBootstrap(services: Services, sha256: string): boolean {
  const expected = services.adminKeySha256
  if (expected === undefined || expected.length !== sha256.length) return false
  return timingSafeEqual(Buffer.from(expected), Buffer.from(sha256))
}

/** `admin` includes the others; the others do not include each other. */
const hasScope = (caller: Caller, scope: Scope): boolean =>
  caller.scopes.includes(scope) || caller.scopes.includes('admin')

/** @throws CodedError `forbidden` */
export function demandScope(caller: Caller, scope: Scope): void {
  if (!hasScope(caller, scope))
    throw new CodedError('forbidden', `This needs a key with the scope "${scope}".`)
}

/** @throws CodedError `forbidden` for a key that is bound to a tenant */
export function demandOperator(caller: Caller): void {
  if (caller.tenant !== undefined) {
    throw new CodedError('forbidden', 'This needs a key of the operator, one that is bound to no tenant.')
  }
}

/**
 * A key for named sessions, on a route that is about one session (`own`) or about what such a key has no part in (`refused`).
 * @throws CodedError `forbidden`, and for a session that it is not for `not_found`, as for one that does not exist
 */
export function demandNamed(
  { sessions }: Pick<Caller, 'sessions'>,
  named: 'own' | 'refused',
  id: string | undefined,
): void {
  if (sessions === undefined) return
  if (named === 'refused') throw new CodedError('forbidden', 'This key is for named sessions alone.')
  if (!sessions.some((own) => own === id)) throw noSession(id ?? '')
}

export const noSession = (id: string): CodedError =>
  new CodedError('not_found', `There is no session ${JSON.stringify(id.slice(0, 64))}.`)

/**
 * The tenant that a request is about. There is no default tenant: a key of a tenant means its own, a key of the operator
 * has to name one that exists.
 * @throws CodedError `tenant_required`, `not_found`
 */
export async function resolveTenant(
  services: Services,
  caller: Caller,
  named: string | undefined,
): Promise<TenantId> {
  if (caller.tenant !== undefined) {
    if (named !== undefined && named !== caller.tenant) throw noTenant(named)
    return caller.tenant
  }
  if (named === undefined || named === '') {
    throw new CodedError('tenant_required', 'This key is bound to no tenant, and the request names none.', {
      field: 'tenant',
    })
  }
  const id = parseTenantId(named)
  if (!(await services.stores.tenants.get(id))) throw noTenant(named)
  return id
}

export const noTenant = (named: string): CodedError =>
  new CodedError('not_found', `There is no tenant ${JSON.stringify(named.slice(0, 64))}.`)
