import type { Clock } from '#shared/clock.ts'
import type { RunnerId } from '#shared/ids.ts'
import type { Owner, RunnerRecord } from '#shared/session.ts'
import type { RunnerStore } from '#shared/store/runner-store.ts'

/** One runner as this process has watched it. */
export interface SeenRunner {
  record: RunnerRecord
  /** Monotonic time of this process at which the present beat was first seen. */
  beatSeenMs: number
  /** Its lease had run out by the store's own clock, or the operating system proves its process gone. */
  voidNow: boolean
}

/**
 * Judges other runners' leases by the store's clock (both times are the store's) and by watching beats against this
 * process's monotonic clock; never by comparing two machines' clocks.
 */
export class RunnersSeen {
  readonly #deps: { store: RunnerStore; clock: Clock; me: RunnerId }
  #seen = new Map<RunnerId, SeenRunner>()
  /** Monotonic time before the last look at the store was sent: a beat counts as unchanged only up to here. */
  #lookedMs = 0
  /** The store's clock is at most so much ahead of this process's, as far as is known. */
  #storeAheadMs = Infinity

  constructor(deps: { store: RunnerStore; clock: Clock; me: RunnerId }) {
    this.#deps = deps
  }

  /** Reads all records anew. */
  async refresh(): Promise<void> {
    const { store, clock, me } = this.#deps
    const sentMs = clock.monotonicMs()
    // The time first: were it the later of two, every renewal in between would seem to be missing.
    const storeNowMs = this.#believed(await store.nowMs(), sentMs)
    const records = await store.list()
    const next = new Map<RunnerId, SeenRunner>()
    for (const record of records) {
      const known = this.#seen.get(record.id)
      const isSame = known?.record.beat === record.beat
      const beatSeenMs = isSame ? known.beatSeenMs : clock.monotonicMs()
      // Whose beat went on since the last look was alive in between, whatever the clocks say.
      const ranOut = (isSame || !known) && record.renewedAt + record.leaseForMs < storeNowMs
      const voidNow = record.id !== me && (ranOut || (await store.provenDead(record.id)))
      next.set(record.id, { record, beatSeenMs, voidNow })
    }
    this.#seen = next
    this.#lookedMs = sentMs
  }

  /**
   * The store's clock may be set ahead; then it would void every lease at once. So it is believed as far as this process's own
   * clock went on since an earlier look, and what it says beyond that is left to the watching of beats.
   */
  #believed(storeNowMs: number, sentMs: number): number {
    const believedMs = Math.min(storeNowMs, this.#deps.clock.monotonicMs() + this.#storeAheadMs)
    this.#storeAheadMs = Math.min(this.#storeAheadMs, storeNowMs - sentMs)
    return believedMs
  }

  /** A runner is dead only when somebody looked: a store that could not be asked proves nothing. */
  isAlive(id: RunnerId): boolean {
    const seen = this.#seen.get(id)
    return seen !== undefined && !seen.voidNow && this.#lookedMs < seen.beatSeenMs + seen.record.leaseForMs
  }

  /** Runners that may take sessions. */
  takers(): readonly RunnerRecord[] {
    return [...this.#seen.values()].flatMap(({ record }) =>
      !record.draining && this.isAlive(record.id) ? [record] : [],
    )
  }

  get all(): readonly SeenRunner[] {
    return [...this.#seen.values()]
  }

  /**
   * Whether somebody who is alive owns it. A record that is gone was removed by its runner's own clean end. Of an owner that
   * was learned (at `learnedMs`) after the last look nothing is known until the next: who was dead then may live again.
   */
  isOwned(owner: Owner | undefined, learnedMs: number): boolean {
    if (owner?.runnerId === undefined) return false
    if (this.#lookedMs < learnedMs) return true
    return this.isAlive(owner.runnerId)
  }

  /** Changes when a runner appears, dies or begins to drain. */
  get picture(): string {
    return this.all
      .map(({ record }) => `${record.id}:${this.isAlive(record.id)}:${record.draining}`)
      .join(' ')
  }

  /** When the lease of an owner that is alive now runs out, if its beat does not change. */
  runsOutMs(id: RunnerId): number {
    const seen = this.#seen.get(id)
    return seen ? seen.beatSeenMs + seen.record.leaseForMs : 0
  }
}
