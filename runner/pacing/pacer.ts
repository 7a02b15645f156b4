/**
 * Lets connects through at a rate, and a bounded number at once, in the order in which they first asked. It keeps no timers:
 * it answers when to ask again. Times are monotonic milliseconds.
 */
export class Pacer<K> {
  readonly #perSecond: number
  readonly #atOnceMax: number
  readonly #slots = new Map<K, number>()
  readonly #connecting = new Set<K>()
  #lastSlotMs = -Infinity
  #slowUntilMs = 0

  constructor(options: { perSecond: number; atOnceMax: number }) {
    this.#perSecond = options.perSecond
    this.#atOnceMax = options.atOnceMax
  }

  /**
   * Answers 0 when the key may connect now (it then counts as connecting), or when to ask again. A session that was handed
   * over takes no slot: it was connected a moment ago, and WhatsApp sees one connection go and one come.
   */
  admit(key: K, nowMs: number, handedOver = false): number {
    if (this.#connecting.has(key)) return 0
    let slot = this.#slots.get(key)
    if (slot === undefined && handedOver) slot = nowMs
    if (slot === undefined) {
      const slow = nowMs < this.#slowUntilMs ? SLOW_FACTOR : 1
      slot = Math.max(nowMs, this.#lastSlotMs + (1000 / this.#perSecond) * slow)
      this.#lastSlotMs = slot
      this.#slots.set(key, slot)
    }
    if (nowMs < slot) return slot
    if (this.#connecting.size >= this.#atOnceMax) return nowMs + FULL_WAIT_MS
    this.#slots.delete(key)
    this.#connecting.add(key)
    return 0
  }

  /** The connect ended, well or badly. Harmless when the key was not connecting. */
  done(key: K): void {
    this.#connecting.delete(key)
    this.#slots.delete(key)
  }

  /** Many sessions see the server in trouble: everybody slows down for a while. */
  slowUntil(untilMs: number): void {
    this.#slowUntilMs = Math.max(this.#slowUntilMs, untilMs)
  }

  get waiting(): number {
    return this.#slots.size
  }

  get connecting(): number {
    return this.#connecting.size
  }
}

/** How much slower connects go while WhatsApp is in trouble. */
const SLOW_FACTOR = 10
/** With all places taken a connect takes tens to hundreds of milliseconds; asking again costs nothing. */
const FULL_WAIT_MS = 50
