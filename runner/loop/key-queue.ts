import type { Clock } from '#shared/clock.ts'
import { toError } from '#shared/errors.ts'

/**
 * A queue of keys. A key that is added ten times runs once; a key that is added while it runs, runs again afterwards; two
 * passes of one key never run at the same time; at most `concurrency` passes run at once. Keys run in the order in which
 * they were first added. A pass that throws is the caller's to handle: `failed` is told, and the other keys go on.
 */
export class KeyQueue<K extends string> {
  readonly #run: (key: K) => Promise<void>
  readonly #failed: (key: K, error: Error) => void
  readonly #clock: Clock
  readonly #concurrency: number
  /** Wants a pass, in order. */
  readonly #dirty = new Set<K>()
  readonly #processing = new Map<K, Promise<void>>()
  readonly #timers = new Map<K, { atMs: number; cancel: () => void }>()
  #state: 'waiting' | 'begun' | 'closed'

  constructor(deps: {
    run: (key: K) => Promise<void>
    failed: (key: K, error: Error) => void
    clock: Clock
    concurrency: number
    /** Takes no key before `begin`: whoever begins adds all there are. */
    waits?: boolean
  }) {
    this.#run = deps.run
    this.#failed = deps.failed
    this.#clock = deps.clock
    this.#concurrency = deps.concurrency
    this.#state = deps.waits ? 'waiting' : 'begun'
  }

  begin(): void {
    if (this.#state === 'waiting') this.#state = 'begun'
  }

  add(key: K): void {
    if (this.#state !== 'begun') return
    this.#dirty.add(key)
    this.#pump()
  }

  /** Adds the key at this monotonic time; of several such wishes the earliest counts. */
  addAt(key: K, atMs: number): void {
    if (this.#state !== 'begun') return
    const known = this.#timers.get(key)
    if (known && known.atMs <= atMs) return
    known?.cancel()
    const cancel = this.#clock.after(Math.max(0, atMs - this.#clock.monotonicMs()), () => {
      this.#timers.delete(key)
      this.add(key)
    })
    this.#timers.set(key, { atMs, cancel })
  }

  /** Keys that wait or run now. */
  get size(): number {
    return this.#dirty.size + this.#processing.size
  }

  /** Resolves when no pass runs and none waits; timers do not count. */
  async idle(): Promise<void> {
    while (this.#processing.size > 0) await Promise.all(this.#processing.values())
  }

  /** No further pass starts; resolves when those under way have ended. Closing twice is harmless. */
  async close(): Promise<void> {
    this.#state = 'closed'
    this.#dirty.clear()
    for (const { cancel } of this.#timers.values()) cancel()
    this.#timers.clear()
    await this.idle()
  }

  #pump(): void {
    for (const key of this.#dirty) {
      if (this.#processing.size >= this.#concurrency) return
      if (this.#processing.has(key)) continue
      this.#dirty.delete(key)
      // Noted before it begins: a pass may add its own key, or others, in its very first step.
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#processing.set(key, promise)
      void this.#pass(key).then(resolve)
    }
  }

  async #pass(key: K): Promise<void> {
    try {
      await this.#run(key)
    } catch (error) {
      this.#failed(key, toError(error))
    }
    this.#processing.delete(key)
    this.#pump()
  }
}
