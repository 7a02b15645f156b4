import { FairQueue } from '#shared/fair-queue.ts'

/**
 * Lets connects through at a rate, and a bounded number at once; tenants in turn, and each in the order in which its sessions
 * first asked, so that a tenant with a thousand sessions to bring up holds nobody else's back. It keeps no timers: it answers
 * when to ask again. Times are monotonic milliseconds.
 */
export class Pacer<K> {
  readonly #everyMs: number
  readonly #atOnceMax: number
  readonly #tenantOf: (key: K) => string
  readonly #waiting = new FairQueue<K>()
  /** When each that waits was told to ask again. */
  readonly #told = new Map<K, number>()
  readonly #connecting = new Set<K>()
  #nextSlotMs = -Infinity
  #slowUntilMs = 0

  constructor(options: { perSecond: number; atOnceMax: number; tenantOf: (key: K) => string }) {
    this.#everyMs = 1000 / options.perSecond
    this.#atOnceMax = options.atOnceMax
    this.#tenantOf = options.tenantOf
  }

  /**
   * Answers 0 when the key may connect now (it then counts as connecting), or when to ask again: what was said before may turn
   * out too early, when others came whose turn is first. A session that was handed over waits for no slot: it was connected a
   * moment ago, and WhatsApp sees one connection go and one come.
   */
  admit(key: K, nowMs: number, handedOver = false): number {
    if (this.#connecting.has(key)) return 0
    const freePlaces = this.#atOnceMax - this.#connecting.size
    if (handedOver && !this.#told.has(key)) {
      if (freePlaces <= 0) return nowMs + FULL_WAIT_MS
    } else {
      const turn = this.#turnOf(key, nowMs)
      const slotMs = this.#nextSlotMs + turn * this.#everyMs * this.#slowness(nowMs)
      // Places go by turn too: those ahead have only not asked again yet.
      const askAgainMs = nowMs < slotMs ? slotMs : turn >= freePlaces ? nowMs + FULL_WAIT_MS : 0
      this.#told.set(key, askAgainMs)
      if (askAgainMs > 0) return askAgainMs
      this.#told.delete(key)
      this.#waiting.take(this.#tenantOf(key), key)
      this.#nextSlotMs += this.#everyMs * this.#slowness(nowMs)
    }
    this.#connecting.add(key)
    return 0
  }

  /** The connect ended, well or badly. Harmless when the key was not connecting. */
  done(key: K): void {
    this.#connecting.delete(key)
    this.#leave(key)
  }

  /** Many sessions see the server in trouble: everybody slows down for a while. */
  slowUntil(untilMs: number): void {
    this.#slowUntilMs = Math.max(this.#slowUntilMs, untilMs)
  }

  get waiting(): number {
    return this.#waiting.size
  }

  get connecting(): number {
    return this.#connecting.size
  }

  /** How many are to be let through before this one, which waits from now on. */
  #turnOf(key: K, nowMs: number): number {
    for (const [other, toldMs] of this.#told)
      if (toldMs + LATE_MS < nowMs && other !== key) this.#leave(other)
    // Nothing is saved up while nobody waits.
    if (this.#waiting.size === 0) this.#nextSlotMs = Math.max(this.#nextSlotMs, nowMs)
    this.#waiting.push(this.#tenantOf(key), key)
    let turn = 0
    for (const other of this.#waiting.inTurn()) {
      if (other === key) break
      turn += 1
    }
    return turn
  }

  #leave(key: K): void {
    this.#told.delete(key)
    this.#waiting.drop(this.#tenantOf(key), key)
  }

  #slowness(nowMs: number): number {
    return nowMs < this.#slowUntilMs ? SLOW_FACTOR : 1
  }
}

/** How much slower connects go while WhatsApp is in trouble. */
const SLOW_FACTOR = 10
/** With all places taken a connect takes tens to hundreds of milliseconds; asking again costs nothing. */
const FULL_WAIT_MS = 50
/** Whoever did not ask again by then is not coming, and must not hold up those behind; it may still come, as one that is new. */
const LATE_MS = 1_000
