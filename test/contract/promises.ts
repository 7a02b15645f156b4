import { describe, expect, test } from 'vitest'
import type { Stores } from '#shared/store/stores.ts'

/** A set of stores under test: fresh, and seen by nobody else. */
export interface Subject {
  stores: Stores
  /** Another client of the same data, as another process would have; the first one stays as it is. */
  reopen: () => Promise<Stores>
  /** Closes every client and removes the data. */
  close: () => Promise<void>
  /** More records than the adapter reads in one page, so that a scan has to turn pages. */
  beyondOnePage: number
}

export type Make = () => Promise<Subject>

export interface ContractOptions {
  /** Promises that an adapter can't keep, by title, with the reason. */
  skip?: Readonly<Record<string, string>>
}

/** Says that `run` shows a promise, on a subject of its own. */
export type PromiseOf = (title: string, run: (subject: Subject) => Promise<void>) => void

/** One contract: the promises of a port, as tests over the stores that `make` gives. */
export function contract(
  port: string,
  make: Make,
  options: ContractOptions,
  promises: (promise: PromiseOf) => void,
): void {
  const skips = options.skip ?? {}
  const titles = new Set<string>()
  describe(port, () => {
    promises((title, run) => {
      titles.add(title)
      const reason = skips[title]
      test(title, async ({ skip }) => {
        if (reason !== undefined) skip(reason)
        const subject = await make()
        try {
          await run(subject)
        } finally {
          await subject.close()
        }
      })
    })
    test('every skip names a promise of this contract', () => {
      expect(Object.keys(skips).filter((title) => !titles.has(title))).toEqual([])
    })
  })
}

/** How many of several calls that race came through, and with which codes the others were refused. */
export async function race(calls: readonly Promise<unknown>[]): Promise<{ won: number; codes: string[] }> {
  const ends = await Promise.allSettled(calls)
  const lost = ends.filter((end) => end.status === 'rejected')
  const codes = new Set(lost.map(({ reason }) => (reason as { code?: string }).code ?? String(reason)))
  return { won: ends.length - lost.length, codes: [...codes].toSorted() }
}

/** Everything that an async iterable yields. */
export async function gather<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const value of source) found.push(value)
  return found
}
