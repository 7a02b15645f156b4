import type { Clock } from '#shared/clock.ts'
import { CodedError } from '#shared/errors.ts'
import { createTurns } from '#shared/fair-queue.ts'
import type { TenantId } from '#shared/ids.ts'
import {
  allowedOf,
  COUNT_FOR_MS,
  limitedNow,
  QUOTAS,
  TENANT_QUOTAS,
  type Quota,
  type TenantLimits,
  type TenantQuota,
} from '#shared/quotas.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Caller } from './context.ts'
import { createInFlight } from './in-flight.ts'
import { createRateLimit } from './rate-limit.ts'
import { createRemembered } from './remembered.ts'

/** A changed limit is known in every process by then. */
const LIMITS_FOR_MS = 60_000
const TENANTS_MAX = 10_000
/** Each may hold 64 MiB for a moment, and more while it is unpacked, in a container of 512 MiB. */
const UPLOADS_AT_ONCE = 2
const AGAIN_S = 5

interface QuotasOptions {
  stores: Pick<Stores, 'tenants' | 'outbox'>
  clock: Clock
  /** How many processes serve the API at most: each has its share of what is per process. */
  instances: number
  /** Event streams of everybody together, in this process. */
  streamsMax: number
  /** Numbers other than the table's. */
  overrides?: Partial<Record<Quota, number>>
  refused: (quota: Quota) => void
}

/** How much of a quota is taken, and how much there is: in this process, where it is per process. */
interface QuotaUse {
  /** `null` for a rate, of which nothing is kept. */
  used: number | null
  allowed: number
  kind: (typeof QUOTAS)[Quota]['kind']
}

type Asking = Pick<Caller, 'sha256' | 'tenant'>

/** All that is limited but not counted in the commit that takes it (those limits are the stores' own). */
export interface Quotas {
  /** One request of a key. @throws CodedError `rate_limited` */
  request(caller: Asking): Promise<void>
  /** A key from an address that may turn out to be none. Answers how to take that back. @throws CodedError `rate_limited` */
  tryKey(address: string): () => void
  /** A stream that begins; what it answers ends it. @throws CodedError `limited_now`, `overloaded` */
  stream(caller: Asking): Promise<() => void>
  /** An upload, which begins when it is its tenant's turn; what it answers ends it. @throws CodedError `limited_now` */
  upload(tenant: TenantId, signal: AbortSignal): Promise<() => void>
  /** One message more that waits to be sent. @throws CodedError `limited_now` */
  queue(tenant: TenantId, bytes: number): Promise<void>
  uses(tenant: TenantId): Promise<Record<TenantQuota, QuotaUse>>
  /** The limits of a tenant were changed by this process. */
  forget(tenant: TenantId): void
  readonly streams: number
  readonly uploads: number
}

export function createQuotas(options: QuotasOptions): Quotas {
  const { stores, clock, instances, streamsMax, overrides = {}, refused } = options
  const rate = createRateLimit(clock)
  const streamsOfKey = createInFlight()
  const streamsOfTenant = createInFlight()
  const uploads = createInFlight()
  const turns = createTurns(UPLOADS_AT_ONCE)
  const limits = createRemembered(clock, {
    max: TENANTS_MAX,
    forMs: LIMITS_FOR_MS,
    load: async (tenant: TenantId): Promise<TenantLimits> => ({
      ...overrides,
      ...(await stores.tenants.get(tenant))?.limits,
    }),
  })
  /** What this process takes meanwhile is added to it. */
  const waiting = createRemembered(clock, {
    max: TENANTS_MAX,
    forMs: COUNT_FOR_MS,
    load: async (tenant: TenantId) => ({ ...(await stores.outbox.waiting(tenant)) }),
  })

  const shareOf = (whole: number): number => Math.ceil(whole / instances)
  const fixed = (quota: Quota): number => shareOf(overrides[quota] ?? QUOTAS[quota].byDefault)

  async function share(tenant: TenantId, quota: TenantQuota): Promise<number> {
    const allowed = allowedOf(await limits.get(tenant), quota)
    return QUOTAS[quota].kind === 'per_process' ? shareOf(allowed) : allowed
  }

  function demandRate(quota: Quota, name: string, perSecond: number, what: string): void {
    const retryAfterS = rate.take(`${quota} ${name}`, perSecond)
    if (retryAfterS === 0) return
    refused(quota)
    const limit = { quota, used: perSecond, allowed: perSecond }
    throw new CodedError('rate_limited', what, { retryAfterS, limit })
  }

  function busy(quota: Quota, used: number, allowed: number, what: string): CodedError {
    refused(quota)
    return limitedNow({ quota, used, allowed }, what, AGAIN_S)
  }

  return {
    async request({ sha256, tenant }) {
      const quota = 'requestsPerSecondOfKey'
      demandRate(quota, sha256, fixed(quota), 'This key has sent too many requests.')
      if (tenant === undefined) return
      const perSecond = await share(tenant, 'requestsPerSecond')
      demandRate(
        'requestsPerSecond',
        tenant,
        perSecond,
        'The keys of this tenant have sent too many requests.',
      )
    },

    tryKey(address) {
      const quota = 'wrongKeysPerSecond'
      const perSecond = fixed(quota)
      demandRate(quota, address, perSecond, 'Too many keys that are not known came from this address.')
      return () => rate.giveBack(`${quota} ${address}`, perSecond)
    },

    async stream({ sha256, tenant }) {
      const [ofKey, ofTenant] = [fixed('streamsOfKey'), tenant && (await share(tenant, 'streams'))]
      if (streamsOfKey.total >= streamsMax) {
        const what = 'This process has as many event streams as it can.'
        throw new CodedError('overloaded', what, { retryAfterS: AGAIN_S })
      }
      const endKey = streamsOfKey.enter(sha256, ofKey)
      if (!endKey) throw busy('streamsOfKey', ofKey, ofKey, 'the event streams of this key')
      if (tenant === undefined || ofTenant === undefined) return endKey
      const endTenant = streamsOfTenant.enter(tenant, ofTenant)
      if (!endTenant) {
        endKey()
        throw busy('streams', ofTenant, ofTenant, `the event streams of the tenant ${tenant}`)
      }
      return () => {
        endKey()
        endTenant()
      }
    },

    async upload(tenant, signal) {
      const allowed = await share(tenant, 'uploads')
      const leave = uploads.enter(tenant, allowed)
      if (!leave) throw busy('uploads', allowed, allowed, `the uploads of the tenant ${tenant}`)
      try {
        const end = await turns.take(tenant, signal)
        return () => {
          end()
          leave()
        }
      } catch (error) {
        leave()
        throw error
      }
    },

    async queue(tenant, bytes) {
      const messagesMax = await share(tenant, 'queuedMessages')
      const bytesMax = await share(tenant, 'queuedBytes')
      const count = await waiting.get(tenant)
      // From here on nothing waits: what is judged is what is added to.
      const what = `of the tenant ${tenant} that wait to be sent`
      if (count.messages >= messagesMax)
        throw busy('queuedMessages', count.messages, messagesMax, `the messages ${what}`)
      if (count.bytes + bytes > bytesMax)
        throw busy('queuedBytes', count.bytes, bytesMax, `the bytes of messages ${what}`)
      count.messages += 1
      count.bytes += bytes
    },

    async uses(tenant) {
      const [exact, queued] = await Promise.all([stores.tenants.used(tenant), waiting.get(tenant)])
      const used: Record<TenantQuota, number | null> = {
        ...exact,
        requestsPerSecond: null,
        streams: streamsOfTenant.count(tenant),
        uploads: uploads.count(tenant),
        queuedMessages: queued.messages,
        queuedBytes: queued.bytes,
      }
      const uses = TENANT_QUOTAS.map(async (quota) => {
        const allowed = await share(tenant, quota)
        return [quota, { used: used[quota], allowed, kind: QUOTAS[quota].kind }] as const
      })
      return Object.fromEntries(await Promise.all(uses)) as Record<TenantQuota, QuotaUse>
    },

    forget: (tenant) => limits.forget(tenant),
    get streams() {
      return streamsOfKey.total
    },
    get uploads() {
      return uploads.total
    },
  }
}
