import type { Clock } from '#shared/clock.ts'
import type { RunnerId } from '#shared/ids.ts'
import type { Owner, RunnerRecord } from '#shared/session.ts'
import type { RunnerStore } from '#shared/store/runner-store.ts'
import type { LeaseTimes } from './lease.ts'

/** One runner as this process has watched it. */
export interface SeenRunner {
  record: RunnerRecord
  /** Monotonic time of this process at which the present beat was first seen. */
  beatSeenMs: number
  /** Its lease had run out by the store's own clock, or the operating system proves its process gone. */
  voidNow: boolean
}

interface RunnersSeenDeps {
  store: RunnerStore
  clock: Clock
  me: RunnerId
  times: Pick<LeaseTimes, 'renewWithinMs' | 'leaseForMs'>
}

/** However soon a lease may run out, a store that is slow is not asked more often. */
const LOOK_GAP_MS = 100

/**
 * Every start has an id of its own, so the record of a runner that was killed is nobody's. It is shown for a while, since a
 * person may want to know what became of it.
 */
const FORGET_AFTER_MS = 300_000

/**
 * Judges other runners' leases by the store's clock (both times are the store's) and by watching beats against this
 * process's monotonic clock; never by comparing two machines' clocks.
 *
 * The store's clock may be set, and then a lease that was renewed a moment ago looks as if it had run out. So its word counts
 * only for a beat that was watched for longer than its runner itself would count on it; it saves the time between
 * the beat and the first look at it. A process that has only just begun to look has nothing else to go by.
 */
export class RunnersSeen {
  readonly #deps: RunnersSeenDeps
  /** Absent before the first look. */
  #seen: Map<RunnerId, SeenRunner> | undefined
  /** Monotonic time before the last look at the store was sent: a beat counts as unchanged only up to here. */
  #lookedMs = 0
  /** The store's clock at that look, less this process's monotonic one when the answer came. */
  #storeAheadMs = 0

  constructor(deps: RunnersSeenDeps) {
    this.#deps = deps
  }

  /** Reads all records anew. */
  async refresh(): Promise<void> {
    const { store, clock, me } = this.#deps
    const sentMs = clock.monotonicMs()
    const { records, nowMs: storeNowMs } = await store.look()
    this.#storeAheadMs = storeNowMs - clock.monotonicMs()
    const seenBefore = this.#seen
    const next = new Map<RunnerId, SeenRunner>()
    for (const record of records) {
      const known = seenBefore?.get(record.id)
      const isSame = known?.record.beat === record.beat
      const beatSeenMs = isSame ? known.beatSeenMs : clock.monotonicMs()
      const isJudged = !seenBefore || sentMs >= beatSeenMs + this.#surelyOverMs(record)
      const ranOut =
        (isSame && known.voidNow) || (isJudged && record.renewedAt + record.leaseForMs < storeNowMs)
      const voidNow = record.id !== me && (ranOut || (await store.provenDead(record.id)))
      next.set(record.id, { record, beatSeenMs, voidNow })
    }
    this.#seen = next
    this.#lookedMs = sentMs
  }

  /** Half-way between the time that a runner gives itself (taken to be as long as ours) and the time that others give it. */
  #surelyOverMs({ leaseForMs }: RunnerRecord): number {
    const { times } = this.#deps
    return (leaseForMs * (1 + times.renewWithinMs / times.leaseForMs)) / 2
  }

  /**
   * How long from now the next look can wait. To be judged when its lease runs out, a beat must have been seen early enough;
   * between such looks one is due only where a lease may have run out. Of a runner that appears a watch tells: whoever is
   * alone looks rarely.
   */
  nextLookInMs(): number {
    const { clock, me, times } = this.#deps
    const nowMs = clock.monotonicMs()
    const others = this.all.filter(({ record }) => record.id !== me && this.isAlive(record.id))
    const due = others.map((other) =>
      Math.min(
        this.#lookedMs + other.record.leaseForMs - this.#surelyOverMs(other.record),
        this.#judgedMs(other),
      ),
    )
    return Math.max(LOOK_GAP_MS, Math.min(this.#lookedMs + times.leaseForMs, ...due) - nowMs)
  }

  /** The first moment at which a look may find that its lease has run out. */
  #judgedMs({ record, beatSeenMs }: SeenRunner): number {
    const ranOutMs = record.renewedAt + record.leaseForMs - this.#storeAheadMs + 1
    const byStampMs = Math.max(ranOutMs, beatSeenMs + this.#surelyOverMs(record))
    return Math.min(byStampMs, beatSeenMs + record.leaseForMs)
  }

  /** A runner is dead only when somebody looked: a store that could not be asked proves nothing. */
  isAlive(id: RunnerId): boolean {
    const seen = this.#seen?.get(id)
    return seen !== undefined && !seen.voidNow && this.#lookedMs < seen.beatSeenMs + seen.record.leaseForMs
  }

  /** Runners that may take sessions. */
  candidates(): readonly RunnerRecord[] {
    return this.all.flatMap(({ record }) => (!record.draining && this.isAlive(record.id) ? [record] : []))
  }

  /** Runners whose sessions go to others now. */
  get leaving(): ReadonlySet<RunnerId> {
    return new Set(this.all.flatMap(({ record }) => (record.draining ? [record.id] : [])))
  }

  /** Runners whose beat has not changed for so long that nothing is to be expected of them; one that wakes begins anew. */
  get longDead(): readonly RunnerId[] {
    const { me } = this.#deps
    return this.all.flatMap(({ record: { id }, beatSeenMs }) =>
      id !== me && !this.isAlive(id) && this.#lookedMs >= beatSeenMs + FORGET_AFTER_MS ? [id] : [],
    )
  }

  get all(): readonly SeenRunner[] {
    return [...(this.#seen?.values() ?? [])]
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
  get membership(): string {
    return this.all
      .map(({ record }) => `${record.id}:${this.isAlive(record.id)}:${record.draining}`)
      .join(' ')
  }

  /** When the lease of an owner that is alive now runs out, if its beat does not change. */
  runsOutMs(id: RunnerId): number {
    const seen = this.#seen?.get(id)
    return seen ? seen.beatSeenMs + seen.record.leaseForMs : 0
  }
}
