import type { RunnerId } from '../ids.ts'
import type { RunnerRecord } from '../session.ts'
import type { Watch } from './watch.ts'

/** What a runner says of itself; the store adds when, and what others asked of it. */
export type Renewal = Omit<RunnerRecord, 'renewedAt' | 'drainAsked'>

/** The leases: one record per runner, a proof of life that is renewed on a timer. */
export interface RunnerStore {
  /**
   * Writes the record whole, with `renewedAt` by the store's clock, and leaves alone what `drain` and `resume` wrote. Answers
   * what is stored now, so that the caller learns of a drain that was asked for through the API, or taken back.
   * Durable when it resolves; a repeat with the same beat is harmless.
   * @throws CodedError `lease_lost` when the record was removed after its first renewal (beat > 1)
   */
  renew(record: Renewal): Promise<RunnerRecord>

  /**
   * All records, also those that ran out, by id; and the store's clock when they were read, to compare `renewedAt` with:
   * never later than that, or every renewal in between would seem to be missing.
   */
  look(): Promise<{ records: readonly RunnerRecord[]; nowMs: number }>

  /** Asks a runner to drain. Durable when it resolves; a repeat is harmless. @throws CodedError `not_found` */
  drain(id: RunnerId): Promise<void>

  /**
   * Takes back what `drain` asked for; a drain that the runner began by itself goes on. Durable when it resolves; harmless
   * when nobody asked. @throws CodedError `not_found`, also when the runner has ended by then
   */
  resume(id: RunnerId): Promise<void>

  /** Removes a record (a clean stop, or the sweep of one long dead). Harmless when there is none. */
  remove(id: RunnerId): Promise<void>

  /**
   * True where the operating system proves that the runner's process is gone, so that its lease is void at once. Stores
   * that cannot know answer false.
   */
  provenDead(id: RunnerId): Promise<boolean>

  /** Calls whenever a runner appeared, vanished or began to drain; renewals alone do not call. */
  watch(changed: () => void): Watch
}
