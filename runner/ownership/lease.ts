import { RENEW_JITTER_MAX } from '#shared/config.ts'
import type { Clock } from '#shared/clock.ts'
import { CodedError, hasCode, toError } from '#shared/errors.ts'
import type { RunnerId } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Random } from '#shared/random.ts'
import type { RunnerStore } from '#shared/store/runner-store.ts'

export interface LeaseTimes {
  renewEveryMs: number
  /** Counted from before the last renewal that succeeded was sent; past it every socket is dropped. */
  renewWithinMs: number
  /** Others wait this long before they take over. */
  leaseForMs: number
}

interface LeaseFacts {
  capacity: number
  version: string
  held: () => number
}

export interface LeaseDeps {
  store: RunnerStore
  clock: Clock
  random: Random
  log: Log
  id: RunnerId
  times: LeaseTimes
  facts: LeaseFacts
}

/**
 * This runner's proof of life.
 *
 * What it does not guarantee: WhatsApp can't check our epoch. A process that is frozen for longer than `leaseForMs` may wake
 * with an open TCP connection; until its first look at the clock it could write to it. WhatsApp's own replacement of the
 * connection and the fenced journal end that: nothing it stores is accepted.
 */
export class RunnerLease {
  readonly #deps: LeaseDeps
  readonly #stop = new AbortController()
  #beat = 0
  #goodSinceMs: number | undefined
  #draining = false
  /** The drain that it obeys was asked for through the store, so that it can be taken back there. */
  #drainAsked = false
  #loop: Promise<void> | undefined
  #changed: () => void = () => undefined
  #term = 0
  #marginMs: number | undefined
  /** What was told last. */
  #toldGood = false
  #cancelExpiry: (() => void) | undefined
  readonly #startedAt: number

  constructor(deps: LeaseDeps) {
    const { renewEveryMs, renewWithinMs, leaseForMs } = deps.times
    if (!(renewEveryMs * RENEW_JITTER_MAX < renewWithinMs && renewWithinMs < leaseForMs)) {
      throw new CodedError('config', 'The lease times must be renewEvery × jitter < renewWithin < leaseFor.')
    }
    this.#deps = deps
    this.#startedAt = deps.clock.nowMs()
  }

  get id(): RunnerId {
    return this.#deps.id
  }

  /** False once the time to renew has passed; then nothing may be written and every socket must go. */
  get isGood(): boolean {
    return this.#goodSinceMs !== undefined && this.leftMs > 0
  }

  /** How long the lease is good without another renewal. */
  get leftMs(): number {
    if (this.#goodSinceMs === undefined) return 0
    return this.#goodSinceMs + this.#deps.times.renewWithinMs - this.#deps.clock.monotonicMs()
  }

  /** The least that was left when a renewal was answered, since this was asked last; absent when none was. */
  takeMarginMs(): number | undefined {
    const margin = this.#marginMs
    this.#marginMs = undefined
    return margin
  }

  /** Grows whenever the lease is good after it was not: between two equal numbers it was never lost. */
  get term(): number {
    return this.#term
  }

  get draining(): boolean {
    return this.#draining || this.#drainAsked
  }

  /** Renews once, then goes on by itself until `end`. Calls `changed` when it was lost, regained, asked to drain, or not to. */
  async start(changed: () => void): Promise<void> {
    await this.#renew()
    this.#toldGood = true
    this.#changed = changed
    this.#loop = this.#renewForever()
  }

  /** Tells everybody that this runner takes no more sessions. Durable when it resolves; a repeat is harmless. */
  async drain(): Promise<void> {
    this.#draining = true
    await this.#renew().catch((error: unknown) =>
      this.#deps.log.warn({ error: toError(error) }, 'draining could not be announced'),
    )
  }

  /** Stops renewing and removes the record: everything was released. */
  async end(): Promise<void> {
    this.#stop.abort()
    await this.#loop
    this.#cancelExpiry?.()
    this.#goodSinceMs = undefined
    await this.#deps.store.remove(this.#deps.id)
  }

  async #renewForever(): Promise<void> {
    const { clock, random, times, log } = this.#deps
    let failed = false
    while (!this.#stop.signal.aborted) {
      const jitter = 1 / RENEW_JITTER_MAX + random.next() * (RENEW_JITTER_MAX - 1 / RENEW_JITTER_MAX)
      // After one that failed, and while it is lost, the next try must not wait a whole period.
      const waitMs = Math.min(
        failed || !this.isGood ? times.renewEveryMs / 4 : times.renewEveryMs * jitter,
        this.isGood ? Math.max(this.leftMs, 1) : Infinity,
      )
      await clock.sleep(waitMs, this.#stop.signal).catch(() => undefined)
      if (this.#stop.signal.aborted) return
      failed = await this.#renew().then(
        () => false,
        (error: unknown) => {
          log.warn({ error: toError(error), leftMs: Math.round(this.leftMs) }, 'lease was not renewed')
          return true
        },
      )
    }
  }

  /** A timer of its own tells of the end: a renewal under way may hang for longer than the lease is good. */
  #watchExpiry(): void {
    this.#cancelExpiry?.()
    this.#cancelExpiry = this.#deps.clock.after(Math.max(this.leftMs, 0) + 1, () => {
      // Timers may come a little early.
      if (this.isGood) this.#watchExpiry()
      else this.#tell()
    })
  }

  #tell(): void {
    if (this.#stop.signal.aborted || this.isGood === this.#toldGood) return
    this.#toldGood = !this.#toldGood
    this.#changed()
  }

  /** A renewal that takes longer than the lease is good for counts as none. */
  async #renew(): Promise<void> {
    const { store, clock, id, times, facts } = this.#deps
    const sentMs = clock.monotonicMs()
    const record = {
      id,
      beat: ++this.#beat,
      leaseForMs: times.leaseForMs,
      draining: this.#draining,
      capacity: facts.capacity,
      held: facts.held(),
      version: facts.version,
      startedAt: this.#startedAt,
    }
    try {
      const stored = await store.renew(record)
      const wasGood = this.isGood
      if (this.#goodSinceMs !== undefined)
        this.#marginMs = Math.min(this.#marginMs ?? Infinity, Math.max(this.leftMs, 0))
      // Whoever woke up late hears of the loss first, even if this renewal makes it good again.
      this.#tell()
      this.#goodSinceMs = Math.max(sentMs, this.#goodSinceMs ?? sentMs)
      if (!wasGood && this.isGood) this.#term++
      this.#watchExpiry()
      if (this.#drainAsked !== (stored.drainAsked === true)) {
        this.#drainAsked = !this.#drainAsked
        this.#changed()
      }
    } catch (error) {
      // Somebody swept the record: begin a new life with the next renewal, once all sockets are gone.
      if (hasCode(error, 'lease_lost')) {
        this.#beat = 0
        this.#goodSinceMs = undefined
      }
      throw error
    } finally {
      this.#tell()
    }
  }
}
