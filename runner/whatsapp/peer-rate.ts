import { jidNormalizedUser } from '@whiskeysockets/baileys'
import type { Clock } from '#shared/clock.ts'
import { authorOf, type Stamped } from './people.ts'

/** Who is forgotten begins with a full allowance; it takes this many others to be forgotten. */
const PEERS_MAX = 2_000

/** An allowance for each person, all devices together: so many at once, and then so many a second. */
export class PeerRate {
  readonly #clock: Clock
  readonly #burst: number
  readonly #perSecond: number
  /** No LRU cache, which would reserve its room in every session. */
  readonly #left = new Map<string, { count: number; atMs: number }>()

  constructor(clock: Clock, allowance: { burst: number; perSecond: number }) {
    this.#clock = clock
    this.#burst = allowance.burst
    this.#perSecond = allowance.perSecond
  }

  /** Takes that many of who wrote a stanza; false, and nothing is taken, when there are fewer left. */
  take(by: Stamped, count = 1): boolean {
    const peer = jidNormalizedUser(authorOf(by))
    const nowMs = this.#clock.monotonicMs()
    const before = this.#left.get(peer) ?? { count: this.#burst, atMs: nowMs }
    const grown = before.count + ((nowMs - before.atMs) / 1000) * this.#perSecond
    const now = { count: Math.min(this.#burst, grown), atMs: nowMs }
    const isEnough = now.count >= count
    if (isEnough) now.count -= count
    this.#left.delete(peer)
    this.#left.set(peer, now)
    const [oldest] = this.#left.keys()
    if (this.#left.size > PEERS_MAX && oldest !== undefined) this.#left.delete(oldest)
    return isEnough
  }
}
