import { toError } from '#shared/errors.ts'
import type { SessionKey, SessionName } from '#shared/ids.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Watch } from '#shared/store/watch.ts'
import type { LiveSession } from '../session/live-session.ts'
import type { KeyQueue } from './key-queue.ts'
import type { Basics, Sessions } from './needs.ts'
import type { View } from './view.ts'

export interface HintNeeds extends Pick<Basics, 'log'>, Sessions<Pick<LiveSession, 'pokeOutbox'>> {
  stores: {
    [Store in 'sessions' | 'removals' | 'owners' | 'jobs' | 'outbox' | 'runners']: Pick<
      Stores[Store],
      'watch'
    >
  }
  view: Pick<View, 'refreshName' | 'refreshSession' | 'hearOwner' | 'refreshJobs'>
  queue: Pick<KeyQueue<SessionKey>, 'add'>
}

/** What the watches tell: which session to look at anew. What is missed, or can't be followed, the full pass makes up for. */
export class Hints {
  readonly #context: HintNeeds
  readonly #runnersChanged: () => void
  readonly #watches: Watch[] = []

  constructor(context: HintNeeds, runnersChanged: () => void) {
    this.#context = context
    this.#runnersChanged = runnersChanged
  }

  start(): void {
    const { stores, view, live } = this.#context
    this.#watches.push(
      stores.sessions.watch((name) => void this.#followName(name)),
      stores.removals.watch((key) => void this.#follow(key, () => view.refreshSession(key))),
      stores.owners.watch((key, owner) => void this.#follow(key, () => view.hearOwner(key, owner))),
      stores.jobs.watch((key) => void this.#follow(key, () => view.refreshJobs(key))),
      stores.outbox.watch((key, message) => live.get(key)?.pokeOutbox(message)),
      stores.runners.watch(() => this.#runnersChanged()),
    )
  }

  /** Resolves when none is told any more. */
  async close(): Promise<void> {
    await Promise.all(this.#watches.map((watch) => watch.close()))
  }

  /** Which keys to look at is known once it is known whose the name is. */
  async #followName(name: SessionName): Promise<void> {
    const { view, queue, log } = this.#context
    try {
      for (const key of await view.refreshName(name)) queue.add(key)
    } catch (error) {
      log.debug({ error: toError(error) }, 'a hint could not be followed; the full pass will')
    }
  }

  async #follow(key: SessionKey, refresh: () => Promise<void>): Promise<void> {
    const { queue, log } = this.#context
    try {
      await refresh()
    } catch (error) {
      log.debug({ error: toError(error), sessionId: key }, 'a hint could not be followed; the full pass will')
    }
    queue.add(key)
  }
}
