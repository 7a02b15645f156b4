import type { SessionKey } from '../ids.ts'
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
  finishedAt?: number
  /** Plain data; for `export` the name of the blob. */
  result?: Record<string, string | number | boolean>
  error?: { code: string; detail: string }
  by: string
}

export interface JobStore {
  /**
   * Create-only by id; a repeat changes nothing and answers what is stored. Durable when it resolves.
   * @throws CodedError `store_refused` when it can never be kept
   */
  create(key: SessionKey, job: Job): Promise<Job>
  get(key: SessionKey, id: string): Promise<Job | undefined>
  /** The open ones, oldest first. */
  open(key: SessionKey): Promise<readonly Job[]>
  /** The sessions that have an open job, in no order, for the full pass. */
  openKeys(): Promise<readonly SessionKey[]>
  /**
   * Ends a job and drops its arguments with the secrets in them; one that has ended stays as it ended. Durable when it
   * resolves. @throws CodedError `store_refused` when its result can never be kept; the job stays open
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
