import type { Bucket } from '@google-cloud/storage'
import type { Clock } from '../clock.ts'
import { CodedError } from '../errors.ts'
import type { Random } from '../random.ts'
import { withDeadline } from '../within.ts'
import type { Meter } from './meter.ts'
import { codeOf } from './vendor-error.ts'

export interface StorageDeps {
  bucket: () => Promise<Bucket>
  /** Of all names. */
  prefix: string
  clock: Clock
  random: Random
  meter: Meter
  retry: RetryOptions
}

/**
 * The client's own retries are off: with them one 503 to a download ends the process on Node 24, and one failed plain
 * upload switches them off for good anyway (docs/facts/google-cloud.md §0.3, §0.4). These are ours.
 */
export interface RetryOptions {
  tries: number
  /** The first wait; each further one may be twice as long, with full jitter. */
  firstMs: number
  /** Of one try. */
  tryTimeoutMs: number
}

/**
 * 5 tries of 20 s and, between them, waits of up to 0.25, 0.5, 1 and 2 s: 104 s at the most, for one request. A snapshot can
 * wait that long; the journal does not lie here.
 */
export const STORAGE_RETRY: RetryOptions = { tries: 5, firstMs: 250, tryTimeoutMs: 20_000 }

/** Cloud Storage asks to try these again (cloud.google.com/storage/docs/retry-strategy). */
const PASSING = new Set([408, 429, 500, 502, 503, 504])

/** No HTTP status means that the connection broke, or that our own deadline ended it. */
const isPassing = (error: unknown): boolean => {
  const code = codeOf(error)
  return code === undefined || PASSING.has(code)
}

/** Runs `work` until it succeeds, fails for good, or the tries are used up. `work` learns which try it is, from 0. */
export async function withRetries<T>(
  deps: { clock: Clock; random: Random; retry: RetryOptions },
  what: string,
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work(attempt)
    } catch (error) {
      if (error instanceof CodedError) throw error
      if (!isPassing(error) || attempt + 1 >= deps.retry.tries) {
        throw new CodedError('store_unavailable', what, { cause: error })
      }
      await deps.clock.sleep(deps.random.next() * deps.retry.firstMs * 2 ** attempt)
    }
  }
}

/** Rejects after `ms` and runs `abandon`, so that what was given up does not go on in the background. */
export function timeLimited<T>(clock: Clock, ms: number, work: Promise<T>, abandon: () => void): Promise<T> {
  return withDeadline(clock, ms, work, () => {
    abandon()
    throw new Error(`no answer within ${ms} ms`)
  })
}
