import { CodedError, type Reached } from './errors.ts'

/**
 * How much of each thing one tenant, key, session or address may have. The one table: stores, control, its documentation and
 * its tests read it. A tenant's record may say another number for what is `of` a tenant.
 *
 * `exact`: counted in the commit that takes one, so never passed, by however many at once. `per_process`: kept in the memory of
 * each process that serves the API, which gets its share (the number divided by `MOORING_INSTANCES`). `approximate`: counted in
 * the stores and remembered for `COUNT_FOR_MS`; a process adds what it took itself meanwhile, so n processes may together pass
 * it by what the n − 1 others take within that time.
 */
export const QUOTAS = {
  /** What the first customers asked for at most was some hundreds. */
  sessions: { of: 'tenant', kind: 'exact', byDefault: 1_000 },
  /** Those that are not revoked. */
  keys: { of: 'tenant', kind: 'exact', byDefault: 100 },
  /**
   * Imports that a runner has not ended yet: each keeps up to 64 MiB in the store until it is read, which takes about a second
   * of an ordinary one. A program that moves a fleet over has more on the way than this for no longer than that.
   */
  imports: { of: 'tenant', kind: 'exact', byDefault: 20 },
  /** Of all its keys; twice as many may come at once. A dashboard that polls 100 sessions each second stays within it. */
  requestsPerSecond: { of: 'tenant', kind: 'per_process', byDefault: 200 },
  requestsPerSecondOfKey: { of: 'key', kind: 'per_process', byDefault: 100 },
  /** Event streams that are open, and requests that wait for a QR: each asks the stores once or twice a second. */
  streams: { of: 'tenant', kind: 'per_process', byDefault: 100 },
  streamsOfKey: { of: 'key', kind: 'per_process', byDefault: 20 },
  /** Imports whose bytes are on their way: each may hold 64 MiB. */
  uploads: { of: 'tenant', kind: 'per_process', byDefault: 2 },
  /** Messages that wait to be sent, and their bytes: about an hour of sending at the pace that WhatsApp puts up with. */
  queuedMessages: { of: 'tenant', kind: 'approximate', byDefault: 10_000 },
  queuedBytes: { of: 'tenant', kind: 'approximate', byDefault: 16 * 1024 * 1024 },
  /** Of a want as it comes out of a request, whatever the request itself had: 50 entries of metadata as a rule take 5 KB. */
  wantBytes: { of: 'session', kind: 'exact', byDefault: 64 * 1024 },
  /**
   * Keys that are not known; twice as many may come at once. Each is a look into the store. A guess needs some 2^255 of them;
   * the number is for the store's sake, and for many who come anew from one address after a restart.
   */
  wrongKeysPerSecond: { of: 'address', kind: 'per_process', byDefault: 20 },
} as const satisfies Record<
  string,
  {
    of: 'tenant' | 'key' | 'session' | 'address'
    kind: 'exact' | 'per_process' | 'approximate'
    byDefault: number
  }
>

export type Quota = keyof typeof QUOTAS
type OfTenant<Q extends Quota> = Q extends Quota
  ? (typeof QUOTAS)[Q]['of'] extends 'tenant'
    ? Q
    : never
  : never
/** What a tenant's record may have a number of its own for. */
export type TenantQuota = OfTenant<Quota>
export type TenantLimits = Partial<Record<TenantQuota, number>>

export const TENANT_QUOTAS = (Object.keys(QUOTAS) as Quota[]).filter(
  (quota): quota is TenantQuota => QUOTAS[quota].of === 'tenant',
)

/** For how long a count of what waits is believed. */
export const COUNT_FOR_MS = 2_000

export const allowedOf = (limits: TenantLimits, quota: TenantQuota): number =>
  limits[quota] ?? QUOTAS[quota].byDefault

/** The refusal of what is counted exactly: it stays until something is given up. */
export const limitReached = (limit: Reached & { quota: Quota }, what: string): CodedError =>
  new CodedError('limit_reached', `${what}: ${limit.used} of ${limit.allowed} are taken.`, { limit })

/** The refusal of what passes by itself. */
export const limitedNow = (
  limit: Reached & { quota: Quota },
  what: string,
  retryAfterS: number,
): CodedError =>
  new CodedError('limited_now', `${what}: ${limit.used} of ${limit.allowed} are taken.`, {
    limit,
    retryAfterS,
  })
