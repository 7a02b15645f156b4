import type { Clock } from '#shared/clock.ts'
import { toError } from '#shared/errors.ts'
import { FairQueue } from '#shared/fair-queue.ts'
import { within } from '#shared/within.ts'

/**
 * A queue of keys. A key that is added ten times runs once; a key that is added while it runs, runs again afterwards; two
 * passes of one key never run at the same time. Tenants are served in turn, and the keys of one in the order in which they were
 * first added: the jobs, connects and deliveries of a thousand sessions of one tenant are one pass ahead of another's. A pass
 * that throws is the caller's to handle: `failed` is told, and the other keys go on.
 *
 * At most `concurrency` passes hold a place. One that runs for longer than `placeForMs` gives its place up and goes on
 * without: what it waits for holds up its own key and no other. So the bound is one on what begins, and on what runs it is
 * one pass a key.
 */
export class KeyQueue<K extends string> {
  readonly #run: (key: K) => Promise<void>
  readonly #failed: (key: K, error: Error) => void
  readonly #clock: Clock
  readonly #concurrency: number
  readonly #placeForMs: number
  readonly #tenantOf: (key: K) => string
  /** Wants a pass, and has none under way. */
  readonly #dirty = new FairQueue<K>()
  /** Wants another pass after the one that is under way. */
  readonly #again = new Set<K>()
  readonly #processing = new Map<K, Promise<void>>()
  /** When each of those that hold a place began; the first is the one that began first. */
  readonly #places = new Map<K, number>()
  #cancelLook: (() => void) | undefined
  readonly #timers = new Map<K, { atMs: number; cancel: () => void }>()
  #state: 'waiting' | 'begun' | 'closed'

  constructor(deps: {
    run: (key: K) => Promise<void>
    failed: (key: K, error: Error) => void
    clock: Clock
    concurrency: number
    /** Monotonic milliseconds. Longer than a pass takes where nothing is amiss. */
    placeForMs: number
    /** Whose turn a key takes; without it they are all of one. */
    tenantOf?: (key: K) => string
    /** Takes no key before `begin`: whoever begins adds all there are. */
    waits?: boolean
  }) {
    this.#run = deps.run
    this.#failed = deps.failed
    this.#clock = deps.clock
    this.#concurrency = deps.concurrency
    this.#placeForMs = deps.placeForMs
    this.#tenantOf = deps.tenantOf ?? (() => '')
    this.#state = deps.waits ? 'waiting' : 'begun'
  }

  begin(): void {
    if (this.#state === 'waiting') this.#state = 'begun'
  }

  add(key: K): void {
    if (this.#state !== 'begun') return
    if (this.#processing.has(key)) this.#again.add(key)
    else this.#dirty.push(this.#tenantOf(key), key)
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
    return this.#dirty.size + this.#again.size + this.#processing.size
  }

  /** Resolves when no pass runs and none waits; timers do not count. */
  async idle(): Promise<void> {
    while (this.#processing.size > 0) await Promise.all(this.#processing.values())
  }

  /**
   * No further pass starts. Resolves when those under way have ended, after `withinMs` at the latest; answers the keys whose
   * passes have not. Closing twice is harmless.
   */
  async close(withinMs: number): Promise<readonly K[]> {
    this.#state = 'closed'
    this.#dirty.clear()
    this.#again.clear()
    for (const { cancel } of this.#timers.values()) cancel()
    this.#timers.clear()
    this.#cancelLook?.()
    if (this.#processing.size > 0) await within(this.#clock, withinMs, this.idle())
    return [...this.#processing.keys()]
  }

  #pump(): void {
    this.#cancelLook?.()
    this.#cancelLook = undefined
    while (this.#dirty.size > 0 && this.#hasPlace()) {
      const key = this.#dirty.next()
      if (key === undefined) return
      // Noted before it begins: a pass may add its own key, or others, in its very first step.
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#processing.set(key, promise)
      this.#places.set(key, this.#clock.monotonicMs())
      void this.#pass(key).then(resolve)
    }
  }

  /** Asks for another look where only time gives one. */
  #hasPlace(): boolean {
    const nowMs = this.#clock.monotonicMs()
    for (const [key, beganMs] of this.#places) {
      const leftMs = beganMs + this.#placeForMs - nowMs
      if (leftMs <= 0) this.#places.delete(key)
      else if (this.#places.size < this.#concurrency) return true
      else {
        this.#cancelLook ??= this.#clock.after(leftMs, () => this.#pump())
        return false
      }
    }
    return true
  }

  async #pass(key: K): Promise<void> {
    try {
      await this.#run(key)
    } catch (error) {
      this.#failed(key, toError(error))
    }
    this.#processing.delete(key)
    this.#places.delete(key)
    if (this.#again.delete(key)) this.#dirty.push(this.#tenantOf(key), key)
    this.#pump()
  }
}
