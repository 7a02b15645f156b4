import type { Clock } from '#shared/clock.ts'
import type { SessionKey } from '#shared/ids.ts'
import { sessionKey } from '#shared/ids.ts'
import type { Owner, Session } from '#shared/session.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { Stores } from '#shared/store/stores.ts'

/**
 * What this runner last read of every session: the want and status, the owner, the open jobs. Watches keep it fresh, the
 * full pass makes it right. It may be stale at any moment; what is written goes by epochs, never by this.
 */
export class View {
  readonly #stores: Pick<Stores, 'sessions' | 'owners' | 'jobs'>
  readonly sessions = new Map<SessionKey, Session>()
  readonly owners = new Map<SessionKey, Owner>()
  /** Monotonic time at which each owner was learned. */
  readonly #learned = new Map<SessionKey, number>()
  readonly jobs = new Map<SessionKey, readonly Job[]>()

  readonly #clock: Clock

  constructor(stores: Pick<Stores, 'sessions' | 'owners' | 'jobs'>, clock: Clock) {
    this.#stores = stores
    this.#clock = clock
  }

  /** When the owner of a session was learned; monotonic. */
  learnedMs(key: SessionKey): number {
    return this.#learned.get(key) ?? 0
  }

  /** Reads everything anew, in pages. Answers the keys that are gone. */
  async load(): Promise<readonly SessionKey[]> {
    const seen = new Set<SessionKey>()
    for await (const session of this.#stores.sessions.scan()) {
      const key = sessionKey(session.tenant, session.id)
      seen.add(key)
      this.sessions.set(key, session)
    }
    for await (const [key, owner] of this.#stores.owners.scan()) this.noteOwner(key, owner)
    const withJobs = new Set(await this.#stores.jobs.openKeys())
    for (const key of new Set([...withJobs, ...this.jobs.keys()])) await this.refreshJobs(key)
    const gone = [...this.sessions.keys()].filter((key) => !seen.has(key))
    for (const key of gone) this.sessions.delete(key)
    return gone
  }

  async refreshSession(key: SessionKey): Promise<void> {
    const session = await this.#stores.sessions.get(key)
    if (session) this.sessions.set(key, session)
    else this.sessions.delete(key)
  }

  async refreshOwner(key: SessionKey): Promise<void> {
    const owner = await this.#stores.owners.get(key)
    if (owner) this.noteOwner(key, owner)
  }

  /** Answers of reads may overtake each other; the higher epoch is the later one, and a release follows its claim. */
  noteOwner(key: SessionKey, owner: Owner): void {
    const known = this.owners.get(key)
    if (known && known.epoch > owner.epoch) return
    if (known && known.epoch === owner.epoch && known.runnerId === undefined) return
    if (known?.epoch !== owner.epoch || known.runnerId !== owner.runnerId)
      this.#learned.set(key, this.#clock.monotonicMs())
    this.owners.set(key, owner)
  }

  async refreshJobs(key: SessionKey): Promise<void> {
    const open = await this.#stores.jobs.open(key)
    if (open.length > 0) this.jobs.set(key, open)
    else this.jobs.delete(key)
  }

  forget(key: SessionKey): void {
    this.sessions.delete(key)
    this.owners.delete(key)
    this.#learned.delete(key)
    this.jobs.delete(key)
  }
}
