import type { RunnerId, SessionKey } from '../ids.ts'
import type { Watch } from './watch.ts'

export const JOB_KINDS = ['logout', 'reset', 'snapshot', 'restore', 'export', 'import', 'rotate'] as const
export type JobKind = (typeof JOB_KINDS)[number]

/**
 * One thing a user asked the session's owner to do once: what needs a socket or plaintext, which control has not.
 * Level-triggered like everything: a job that is open is work to do, whoever sees it.
 */
export interface Job {
  id: string
  kind: JobKind
  /** Plain data; secrets in it (a passphrase) are sealed to the runners first. Empty once the job has ended. */
  args: Record<string, string | number | boolean>
  state: 'open' | 'done' | 'failed'
  createdAt: number
  /** Of a job that may end its runner: the latest time that one began it. */
  latestTry?: JobTry
  finishedAt?: number
  /** Plain data; for `export` the name of the blob. */
  result?: Record<string, string | number | boolean>
  error?: { code: string; detail: string }
  by: string
}

/** Who does a job. */
export interface Worker {
  runner: RunnerId
  epoch: number
}

/** One beginning of a job, written down before the work is. */
export interface JobTry extends Worker {
  /** From 1. */
  number: number
  /** How many before it have no end: their runners were gone with the work in their hands. */
  vanished: number
  /** Its runner stopped the work itself: it drained, or lost its lease. */
  interrupted?: true
}

/** What the next beginning is. The same worker beginning again is the same try: an answer was lost, or a store away. Pure. */
export function nextTry(before: JobTry | undefined, by: Worker): JobTry {
  const { runner, epoch } = by
  if (!before) return { runner, epoch, number: 1, vanished: 0 }
  const isSame = before.runner === runner && before.epoch === epoch
  if (isSame && before.interrupted === undefined) return before
  const hasVanished = before.runner !== runner && before.interrupted === undefined
  return { runner, epoch, number: before.number + 1, vanished: before.vanished + (hasVanished ? 1 : 0) }
}

/** The same try, interrupted; `undefined` when it is another worker's by now. Pure. */
export const interruptedTry = (stored: JobTry | undefined, by: Worker): JobTry | undefined =>
  stored?.runner === by.runner && stored.epoch === by.epoch ? { ...stored, interrupted: true } : undefined

export interface JobStore {
  /**
   * Create-only by id; a repeat changes nothing and answers what is stored. Durable when it resolves.
   * @throws CodedError `store_refused` when it can never be kept, `limit_reached` for an import more than the tenant may have
   */
  create(key: SessionKey, job: Job): Promise<Job>
  get(key: SessionKey, id: string): Promise<Job | undefined>
  /** The open ones, oldest first. */
  open(key: SessionKey): Promise<readonly Job[]>
  /** The sessions that have an open job, in no order, for the full pass. */
  openKeys(): Promise<readonly SessionKey[]>
  /**
   * Notes that a worker begins a job now (`nextTry`), and answers the job; `undefined` when it is not open. Durable when it
   * resolves; a repeat changes nothing.
   */
  begin(key: SessionKey, id: string, by: Worker): Promise<Job | undefined>
  /** Notes that this worker stopped its try by itself; does nothing for another's. Durable when it resolves. */
  interrupt(key: SessionKey, id: string, by: Worker): Promise<void>
  /**
   * Ends a job and drops its arguments, with the secrets in them; one that has ended stays as it ended. Durable when it
   * resolves.
   * @throws CodedError `store_refused` when its result can never be kept; the job stays open
   */
  finish(
    key: SessionKey,
    id: string,
    end: { state: 'done' | 'failed'; result?: Job['result']; error?: Job['error']; nowMs: number },
  ): Promise<void>
  /** Removes all of a session, or those that ended before `olderThanMs`. Answers how many. */
  sweep(ask: { key?: SessionKey; olderThanMs?: number }): Promise<number>
  /** Calls with the key of every session that got a new job. */
  watch(changed: (key: SessionKey) => void): Watch
}
