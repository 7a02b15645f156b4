import type { Before } from './entry.ts'
import type { RecordMap } from './record-map.ts'

export type Change = readonly [key: string, value: Uint8Array | null]

/** Changes that are in memory already and wait to be cut into an entry, with what they replace. */
export class PendingChanges {
  #changes = new Map<string, Uint8Array | null>()
  /** As of the last entry that was cut. */
  #before = new Map<string, Uint8Array | undefined>()
  #bytes = 0

  get isEmpty(): boolean {
    return this.#changes.size === 0
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Applies one change to the records, and keeps it. */
  apply(records: RecordMap, [key, value]: Change): void {
    if (!this.#changes.has(key)) this.#before.set(key, records.get(key))
    this.#changes.set(key, value)
    records.set(key, value)
    this.#bytes += value?.length ?? 0
  }

  /** All of it, of which nothing is pending any more. */
  take(): { changes: readonly Change[]; before: Before } {
    const changes = [...this.#changes]
    const before = this.#before
    this.#changes = new Map()
    this.#before = new Map()
    this.#bytes = 0
    return { changes, before: (key) => before.get(key) }
  }
}
