import type { Clock } from '#shared/clock.ts'
import { keyOf, nameOfKey, type SessionKey, type SessionName } from '#shared/ids.ts'
import type { Owner, Session } from '#shared/session.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { Removal } from '#shared/store/removal-store.ts'
import type { Stores } from '#shared/store/stores.ts'

/**
 * What this runner last read of every session: the want and status, the owner, the open jobs. Watches keep it fresh, the
 * full pass makes it right. It may be stale at any moment; what is written goes by epochs, never by this.
 *
 * A removal that is to be worked off is shown as the session it was, wanted away: it is claimed, handed over and taken over
 * like any other, beside whatever life its name has now.
 */
export class View {
  readonly #stores: Pick<Stores, 'sessions' | 'removals' | 'owners' | 'jobs'>
  readonly sessions = new Map<SessionKey, Session>()
  /** Which life each name has. */
  readonly #lives = new Map<SessionName, SessionKey>()
  readonly owners = new Map<SessionKey, Owner>()
  /** Monotonic time at which each owner was learned. */
  readonly #learned = new Map<SessionKey, number>()
  readonly jobs = new Map<SessionKey, readonly Job[]>()

  readonly #clock: Clock

  constructor(stores: Pick<Stores, 'sessions' | 'removals' | 'owners' | 'jobs'>, clock: Clock) {
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
    for await (const session of this.#stores.sessions.scan()) seen.add(this.#note(session))
    // After the sessions: one that is deleted meanwhile is seen as what it became.
    for await (const removal of this.#stores.removals.scan()) {
      const key = keyOf(removal.session)
      seen.add(key)
      this.sessions.set(key, wantedAway(removal))
    }
    const askedMs = this.#clock.monotonicMs()
    const owned = new Set<SessionKey>()
    for await (const [key, owner] of this.#stores.owners.scan()) {
      owned.add(key)
      this.noteOwner(key, owner)
    }
    for (const key of this.owners.keys())
      if (!owned.has(key) && this.learnedMs(key) <= askedMs) this.#forgetOwner(key)
    const withJobs = new Set(await this.#stores.jobs.openKeys())
    for (const key of new Set([...withJobs, ...this.jobs.keys()])) await this.refreshJobs(key)
    const gone = [...this.sessions.keys()].filter((key) => !seen.has(key))
    for (const key of gone) this.sessions.delete(key)
    return gone
  }

  /** Looks whose the name is now. Answers the keys that there may be something new about: of this life, and of the one before. */
  async refreshName(name: SessionName): Promise<readonly SessionKey[]> {
    const before = this.#lives.get(name)
    const session = await this.#stores.sessions.find(name)
    const now = session && this.#note(session)
    if (before === undefined || before === now) return now === undefined ? [] : [now]
    if (now === undefined) this.#lives.delete(name)
    await this.refreshSession(before)
    return now === undefined ? [before] : [now, before]
  }

  async refreshSession(key: SessionKey): Promise<void> {
    const session = await this.#stores.sessions.get(key)
    if (session) return void this.#note(session)
    const removal = await this.#stores.removals.get(key)
    if (removal?.phase === 'unlinking') this.sessions.set(key, wantedAway(removal))
    else this.sessions.delete(key)
  }

  #note(session: Session): SessionKey {
    const key = keyOf(session)
    this.sessions.set(key, session)
    this.#lives.set(nameOfKey(key), key)
    return key
  }

  /** A record that is gone went with its life. */
  async refreshOwner(key: SessionKey): Promise<void> {
    const askedMs = this.#clock.monotonicMs()
    const owner = await this.#stores.owners.get(key)
    if (owner) this.noteOwner(key, owner)
    else if (this.learnedMs(key) <= askedMs) this.#forgetOwner(key)
  }

  #forgetOwner(key: SessionKey): void {
    this.owners.delete(key)
    this.#learned.delete(key)
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
    if (this.#lives.get(nameOfKey(key)) === key) this.#lives.delete(nameOfKey(key))
    this.#forgetOwner(key)
    this.jobs.delete(key)
  }
}

/** Once its device is dealt with, nothing needs the state any more: it is not rebuilt, whatever is left of it. */
const wantedAway = ({ session, purge, farewell }: Removal): Session => ({
  ...session,
  want: { ...session.want, deleting: { purge } },
  dataKeys: farewell ? [] : session.dataKeys,
})
