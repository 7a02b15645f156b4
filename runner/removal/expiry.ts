import { toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import { clearLife } from '#shared/registry.ts'
import { sweepTransfers } from '#shared/transfers.ts'
import type { Basics } from '../loop/needs.ts'
import type { View } from '../loop/view.ts'
import type { RunnerLease } from '../ownership/lease.ts'
import type { RunnersSeen } from '../ownership/runners-seen.ts'
import { preferredRunner } from '../ownership/spread.ts'
import { dropBackup } from './backup.ts'
import { forgetRemoval, type WorkOffNeeds } from './work-off.ts'

/** The audit trail, messages, the feed and jobs are kept so long (docs/design/state.md §3.1). */
const KEEP_RECORDS_MS = 30 * 24 * 3_600_000
/** What is over is looked for at every turn: what was discarded is to be gone soon. All else moves by days. */
const RECORDS_EVERY_MS = 3_600_000
/** One turn; more wait for the next. */
const AT_ONCE = 100
/** Which runner does it: the one that spreading prefers for this key. That two do is harmless. */
const TURN_KEY = '~expiry' as SessionKey

export interface ExpiryNeeds extends Basics, WorkOffNeeds {
  lease: Pick<RunnerLease, 'id'>
  runners: Pick<RunnersSeen, 'candidates'>
  view: Pick<View, 'sessions' | 'owners' | 'jobs' | 'forget'>
}

/** Removes what is over: removals and backups whose time has come, old records, files of jobs, what belongs to no session. */
export class Expiry {
  readonly #deps: ExpiryNeeds
  #recordsAtMs: number
  /** Files without a job at the last turn: one that is just being stored has its job by now. */
  #lonely: ReadonlySet<string> = new Set()

  constructor(deps: ExpiryNeeds) {
    this.#deps = deps
    this.#recordsAtMs = deps.clock.monotonicMs()
  }

  /** One turn, if it is this runner's. What fails is told, and made up for by the next. */
  async run(): Promise<void> {
    const { runners, lease, clock } = this.#deps
    if (preferredRunner(TURN_KEY, runners.candidates())?.id !== lease.id) return
    await this.#part('removals', () => this.#removals())
    await this.#part('backups', () => this.#backups())
    if (clock.monotonicMs() < this.#recordsAtMs) return
    this.#recordsAtMs = clock.monotonicMs() + RECORDS_EVERY_MS
    await this.#part('records', () => this.#records())
    await this.#part('files', () => this.#files())
    await this.#part('lost', () => this.#lost())
  }

  async #part(what: string, work: () => Promise<number>): Promise<void> {
    const { log } = this.#deps
    try {
      const count = await work()
      if (count > 0) log.info({ what, count }, 'what was over is removed')
    } catch (error) {
      log.warn({ error: toError(error), what }, 'what is over could not be removed')
    }
  }

  async #removals(): Promise<number> {
    const { stores, clock } = this.#deps
    const over = await stores.removals.due(clock.nowMs(), AT_ONCE)
    for (const removal of over) await forgetRemoval(this.#deps, removal)
    return over.length
  }

  async #backups(): Promise<number> {
    const { stores, clock } = this.#deps
    const over = await stores.backups.due(clock.nowMs(), AT_ONCE)
    for (const { tenant, id } of over) await dropBackup(stores, tenant, id)
    return over.length
  }

  async #records(): Promise<number> {
    const { stores, clock } = this.#deps
    const olderThanMs = clock.nowMs() - KEEP_RECORDS_MS
    let count = 0
    for (const port of ['events', 'outbox', 'feed', 'jobs'] as const)
      count += await stores[port].sweep({ olderThanMs })
    return count
  }

  async #files(): Promise<number> {
    const { stores, clock } = this.#deps
    const lonely = new Set<string>()
    const spare = (name: string): boolean => {
      if (this.#lonely.has(name)) return false
      lonely.add(name)
      return true
    }
    const swept = await sweepTransfers(stores, { nowMs: clock.nowMs(), dryRun: false, spare })
    this.#lonely = lonely
    return swept.length
  }

  /** Written by somebody who was late, for a life that was over: an owner, a job. */
  async #lost(): Promise<number> {
    const { stores, view } = this.#deps
    const suspects = new Set([...view.owners.keys(), ...view.jobs.keys()])
    let count = 0
    for (const key of suspects) {
      if (view.sessions.has(key)) continue
      if ((await stores.sessions.get(key)) ?? (await stores.removals.get(key))) continue
      await clearLife(stores, key)
      view.forget(key)
      count++
    }
    return count
  }
}
