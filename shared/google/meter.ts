/** What Google bills by the piece (docs/facts/google-cloud.md §2.1, §3, §4). */
export type Billed = 'reads' | 'writes' | 'deletes' | 'objectWrites' | 'objectReads' | 'keyCalls'

/** Counts billed operations where they are sent, so that a benchmark can print what a message costs. */
export interface Meter {
  /** `what` is the name of the call, e.g. `append a journal entry`. */
  count(kind: Billed, pieces: number, what: string): void
}

export const noMeter: Meter = { count: () => {} }

/** A meter that adds up, by kind and by call. */
export function tally(): Meter & {
  totals(): Record<Billed, number>
  byCall(): ReadonlyMap<string, number>
  reset(): void
} {
  const calls = new Map<string, number>()
  const totals = { reads: 0, writes: 0, deletes: 0, objectWrites: 0, objectReads: 0, keyCalls: 0 }
  return {
    count: (kind, pieces, what) => {
      totals[kind] += pieces
      const name = `${kind}: ${what}`
      calls.set(name, (calls.get(name) ?? 0) + pieces)
    },
    totals: () => ({ ...totals }),
    byCall: () => new Map(calls),
    reset: () => {
      calls.clear()
      for (const kind of Object.keys(totals) as Billed[]) totals[kind] = 0
    },
  }
}
