import type { CacheStore, UserFacingSocketConfig } from '@whiskeysockets/baileys'
import { LRUCache } from 'lru-cache'

/**
 * One bounded cache for all sessions of the process. Baileys would give each socket several unbounded ones, each with its
 * own timer; an LRU per socket would reserve room for entries that an idle session never has. Entries survive a reconnect.
 */
export class SharedCache {
  readonly #entries: LRUCache<string, { value: unknown }>

  constructor(options: { max: number; ttlMs: number }) {
    this.#entries = new LRUCache({ max: options.max, ttl: options.ttlMs })
  }

  /** The part of one session, as Baileys wants a cache. It knows the type of what it put in; the cache need not. */
  of(session: string): CacheStore {
    const entries = this.#entries
    const name = (key: string): string => `${session}|${key}`
    return {
      get: (key) => entries.get(name(key))?.value as never,
      set: (key, value) => {
        entries.set(name(key), { value })
      },
      del: (key) => {
        entries.delete(name(key))
      },
      flushAll: () => {
        for (const key of entries.keys()) if (key.startsWith(`${session}|`)) entries.delete(key)
      },
    }
  }
}

const HOUR_MS = 3_600_000

/**
 * How often we answered a peer's retry receipts (docs/facts/baileys.md §7; it limits re-sending, so it must outlive a
 * reconnect).
 */
const retryCounters = new SharedCache({ max: 20_000, ttlMs: HOUR_MS })
/** Device lists: every miss costs a look-up and a new Signal session with the peer's phone, so longer than rc14's 5 min. */
export const deviceLists = new SharedCache({ max: 50_000, ttlMs: HOUR_MS })
/** Calls that ring, and messages asked for again from the own phone: as long as in rc14, 5 min and an hour. */
const callOffers = new SharedCache({ max: 5_000, ttlMs: 5 * 60_000 })
const placeholderResends = new SharedCache({ max: 5_000, ttlMs: HOUR_MS })

type Caches = Pick<
  UserFacingSocketConfig,
  'msgRetryCounterCache' | 'userDevicesCache' | 'callOfferCache' | 'placeholderResendCache'
>

/** All caches that rc14 can be given, as its options: the parts of one session. */
export const cachesOf = (session: string): Caches => ({
  msgRetryCounterCache: retryCounters.of(session),
  userDevicesCache: deviceLists.of(session),
  callOfferCache: callOffers.of(session),
  placeholderResendCache: placeholderResends.of(session),
})
