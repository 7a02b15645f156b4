import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import { CodedError } from '#shared/errors.ts'
import { parseTenantId } from '#shared/ids.ts'
import type { TenantId } from '#shared/ids.ts'
import type { ApiKey, Scope } from '#shared/store/api-key-store.ts'
import type { Caller, ControlContext, ControlEnv, Services } from './context.ts'
import { createRateLimit } from './rate-limit.ts'

/** A use is noted at most this often: the date is for people, and every note is a write. */
const TOUCH_EVERY_MS = 60_000
const RANDOM_LENGTH = 22 // 62^22 > 2^130
const MAC_LENGTH = 21 // 62^21 > 2^125
const BASE62 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

export const sha256Hex = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex')

/** What a key may do. The key itself carries a MAC of it. */
interface Grant {
  tenant?: TenantId
  scopes: readonly Scope[]
}

/**
 * A new key: `moor_{id}_{random}{mac}`. The id in front lets people and audit trails tell keys apart. The end is a MAC over
 * the rest, the tenant and the scopes, under a pepper that control alone has: runners can write every record of the
 * database, and a record that one of them made or changed is of no use without a key that carries the right MAC.
 */
export function mintKey(
  pepper: string,
  id: string,
  grant: Grant,
): { key: string; prefix: string; sha256: string } {
  const prefix = `moor_${id}`
  let random = ''
  while (random.length < RANDOM_LENGTH) random += base62(randomBytes(RANDOM_LENGTH))
  const unmarked = `${prefix}_${random.slice(0, RANDOM_LENGTH)}`
  const key = unmarked + macOf(pepper, unmarked, grant)
  return { key, prefix, sha256: sha256Hex(key) }
}

/** Whether control made this key for this tenant and these scopes. */
function hasMac(pepper: string, key: string, grant: Grant): boolean {
  const mac = macOf(pepper, key.slice(0, -MAC_LENGTH), grant)
  const given = Buffer.from(key.slice(-MAC_LENGTH))
  return given.length === mac.length && timingSafeEqual(given, Buffer.from(mac))
}

function macOf(pepper: string, unmarked: string, { tenant, scopes }: Grant): string {
  const text = JSON.stringify([unmarked, tenant ?? null, scopes.toSorted()])
  return base62(createHmac('sha512', pepper).update(text).digest()).slice(0, MAC_LENGTH)
}

/** Bytes of 248 and more are thrown away, so that every character is equally likely. */
const base62 = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => (byte < 248 ? BASE62[byte % 62] : '')).join('')

/** Finds out who asks, and how often. Every route below `/v1` and `/metrics` passes through here. */
export function authenticate(services: Services): MiddlewareHandler<ControlEnv> {
  const limit = createRateLimit(services.rate, services.clock)
  const touchedAtMs = new Map<string, number>()

  return async function authenticate(c, next) {
    const key = presentedKey(c)
    if (key === undefined) throw new CodedError('unauthorized', 'This request carries no API key.')
    const caller = await findCaller(services, sha256Hex(key))
    if (!caller || !(isBootstrap(services, caller.sha256) || hasMac(services.keyPepper, key, caller)))
      throw new CodedError('unauthorized', 'This API key is not known, or was revoked.')
    limit.take(caller.sha256)
    noteUse(caller)
    c.set('caller', caller)
    await next()
  }

  /** Not awaited, never fatal: a store that can't take the note must not fail the request. */
  function noteUse(caller: Caller): void {
    if (isBootstrap(services, caller.sha256)) return
    const nowMs = services.clock.monotonicMs()
    const last = touchedAtMs.get(caller.sha256)
    if (last !== undefined && nowMs - last < TOUCH_EVERY_MS) return
    touchedAtMs.set(caller.sha256, nowMs)
    services.stores.apiKeys.touch(caller.sha256, services.clock.nowMs()).catch((error: unknown) => {
      services.log.debug({ error, keyPrefix: caller.prefix }, 'could not note the use of a key')
    })
  }
}

function presentedKey(c: ControlContext): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
  return bearer ?? c.req.header('x-api-key')
}

/** `undefined` for a key that is unknown or revoked. Also asked again while an event stream stays open. */
export async function findCaller(services: Services, sha256: string): Promise<Caller | undefined> {
  if (isBootstrap(services, sha256)) return { sha256, prefix: 'bootstrap', scopes: ['admin'] }
  const key = await services.stores.apiKeys.find(sha256)
  return key === undefined || key.revokedAt !== undefined ? undefined : callerOf(key)
}

const callerOf = (key: ApiKey): Caller => ({
  sha256: key.sha256,
  prefix: key.prefix,
  scopes: key.scopes,
  ...(key.tenant === undefined ? {} : { tenant: key.tenant }),
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
