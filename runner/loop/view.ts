import type { Clock } from '#shared/clock.ts'
import { keyOf, nameOfKey, type SessionKey, type SessionName } from '#shared/ids.ts'
import type { Owner, Session, Status } from '#shared/session.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { Removal } from '#shared/store/removal-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { within } from '#shared/within.ts'
import { Newest, Reads } from './newest.ts'

/** Reads of single keys at once in a full pass: enough to hide a round trip, too few to crowd out the lease's renewal. */
const READS_AT_ONCE = 8
/** A full pass waits no longer for single keys: one that hangs must not hold up the others. They are told when they come. */
const SINGLE_READS_WITHIN_MS = 5_000

/**
 * What this runner last read of every session: the want and status, the owner, the open jobs. Watches keep it fresh, the
 * full pass makes it right. It may be stale at any moment; what is written goes by epochs, never by this.
 *
 * | what comes                                             | what is believed                                        |
 * | ------------------------------------------------------ | ------------------------------------------------------- |
 * | the answer of a read, and none of a later one yet      | all of it, that there is no record as well              |
 * | the answer of a read, after that of a later one        | nothing                                                 |
 * | the same of an owner, with a later epoch than is known | nothing; the key is read anew                           |
 * | a record that a listing does not hold                  | nothing; the key is read anew: it may be younger        |
 * | the answer to a claim or a release of ours             | all of it, before every read that began earlier         |
 * | an owner that a watch tells along, of a later epoch    | all of it, as above                                     |
 * | the same of an earlier epoch                           | nothing; the key is read anew: a record may begin anew  |
 * | a job that ended here                                  | it is gone, in answers of reads that began earlier too  |
 *
 * A read "began" when it was asked for, whatever the store took until it looked. So the last change of a key is seen by
 * whatever read its hint begins, and no answer that comes later takes it back.
 *
 * A removal that is to be worked off is shown as the session it was, wanted away: it is claimed, handed over and taken over
 * like any other, beside whatever life its name has now.
 */
export class View {
  readonly #stores: Pick<Stores, 'sessions' | 'removals' | 'owners' | 'jobs'>
  readonly #clock: Clock
  readonly #reads = new Reads()
  readonly #sessions = new Newest<SessionKey, Session>(this.#reads)
  /** Which life each name has. */
  readonly #lives = new Newest<SessionName, SessionKey>(this.#reads)
  readonly #owners = new Newest<SessionKey, Owner>(this.#reads)
  readonly #jobs = new Newest<SessionKey, readonly Job[]>(this.#reads)
  /** Monotonic time at which each owner was learned. */
  readonly #learned = new Map<SessionKey, number>()
  /** Jobs that ended here, with the number that every read after the end exceeds. */
  readonly #ended = new Map<string, number>()

  constructor(stores: Pick<Stores, 'sessions' | 'removals' | 'owners' | 'jobs'>, clock: Clock) {
    this.#stores = stores
    this.#clock = clock
  }

  get sessions(): ReadonlyMap<SessionKey, Session> {
    return this.#sessions.values
  }

  get owners(): ReadonlyMap<SessionKey, Owner> {
    return this.#owners.values
  }

  /** The open jobs of sessions that have any, oldest first. */
  get jobs(): ReadonlyMap<SessionKey, readonly Job[]> {
    return this.#jobs.values
  }

  /** When the owner of a session was learned; monotonic. */
  learnedMs(key: SessionKey): number {
    return this.#learned.get(key) ?? 0
  }

  /**
   * Reads everything anew, in pages, and by themselves the keys that the listings leave in doubt. `looked` is told of each
   * of those once it is known, maybe after this has resolved. Answers how many of them could not be read, and stay as they
   * were known. @throws CodedError what the listings throw
   */
  async load(looked: (key: SessionKey) => void = () => undefined): Promise<number> {
    const sessions = this.#stores.sessions.scan()
    const lost = new Set(
      await this.#list(sessions, this.sessions, (session, number) => this.#note(session, number)),
    )
    // After the sessions: one that is deleted meanwhile is seen as what it became.
    await this.#list(this.#stores.removals.scan(), this.sessions, (removal, number) => {
      const key = keyOf(removal.session)
      this.#sessions.take(key, wantedAway(removal), number)
      lost.delete(key)
      return key
    })
    const doubtful = new Set<SessionKey>()
    const ownerless = await this.#list(this.#stores.owners.scan(), this.owners, ([key, owner], number) => {
      if (!this.#takeOwner(key, owner, number)) doubtful.add(key)
      return key
    })
    for (const key of ownerless) doubtful.add(key)
    const withJobs = new Set([...(await this.#stores.jobs.openKeys()), ...this.jobs.keys()])
    const reads = [
      ...[...lost].map((key) => ({ key, read: () => this.refreshSession(key) })),
      ...[...doubtful].map((key) => ({ key, read: () => this.refreshOwner(key) })),
      ...[...withJobs].map((key) => ({ key, read: () => this.refreshJobs(key) })),
    ]
    let failed = 0
    await fewAtOnce(reads, this.#clock, async ({ key, read }) => {
      await read().catch(() => failed++)
      looked(key)
    })
    return failed
  }

  /** One listing. Answers which of the known keys it does not hold. */
  #list<T>(
    listing: AsyncIterable<T>,
    known: ReadonlyMap<SessionKey, unknown>,
    take: (item: T, number: number) => SessionKey,
  ): Promise<readonly SessionKey[]> {
    return this.#reads.begin(async (number) => {
      const seen = new Set<SessionKey>()
      for await (const item of listing) seen.add(take(item, number))
      return [...known.keys()].filter((key) => !seen.has(key))
    })
  }

  refreshSession(key: SessionKey): Promise<void> {
    return this.#reads.begin(async (number) => {
      const session = await this.#stores.sessions.get(key)
      if (session) return void this.#note(session, number)
      const removal = await this.#stores.removals.get(key)
      this.#sessions.take(key, removal?.phase === 'unlinking' ? wantedAway(removal) : undefined, number)
    })
  }

  /** Looks whose the name is now. Answers the keys that there may be something new about: of this life, and of the one before. */
  async refreshName(name: SessionName): Promise<readonly SessionKey[]> {
    const before = this.#lives.values.get(name)
    const now = await this.#reads.begin(async (number) => {
      const session = await this.#stores.sessions.find(name)
      if (session) return this.#note(session, number)
      this.#lives.take(name, undefined, number)
      return undefined
    })
    if (before === undefined || before === now) return now === undefined ? [] : [now]
    await this.refreshSession(before)
    return now === undefined ? [before] : [now, before]
  }

  #note(session: Session, number: number): SessionKey {
    const key = keyOf(session)
    this.#sessions.take(key, session, number)
    this.#lives.take(nameOfKey(key), key, number)
    return key
  }

  /** What the loop tells of a session, ahead of the store. */
  noteStatus(key: SessionKey, status: Status, nowMs: number): void {
    this.#sessions.amend(key, (session) => ({ ...session, status, updatedAt: nowMs }))
  }

  async refreshOwner(key: SessionKey): Promise<void> {
    const isSettled = await this.#reads.begin(async (number) =>
      this.#takeOwner(key, await this.#stores.owners.get(key), number),
    )
    if (!isSettled) await this.refreshOwner(key)
  }

  /** A watch told of a change, with the record or without. */
  async hearOwner(key: SessionKey, owner: Owner | undefined): Promise<void> {
    const known = this.owners.get(key)
    if (!owner || (known && contradicts(owner, known))) return this.refreshOwner(key)
    this.noteOwner(key, owner)
  }

  /** What a write of ours was answered. The higher epoch is the later one, and a release follows its claim. */
  noteOwner(key: SessionKey, owner: Owner): void {
    const known = this.owners.get(key)
    if (!known || isAhead(owner, known)) this.#takeOwner(key, owner, this.#reads.next())
  }

  /** False when the answer is no use and yet knows more: then only another read can tell. */
  #takeOwner(key: SessionKey, owner: Owner | undefined, number: number): boolean {
    const known = this.owners.get(key)
    if (!this.#owners.take(key, owner, number)) return !(owner && known && isAhead(owner, known))
    if (!owner) this.#learned.delete(key)
    else if (known?.epoch !== owner.epoch || known.runnerId !== owner.runnerId)
      this.#learned.set(key, this.#clock.monotonicMs())
    return true
  }

  refreshJobs(key: SessionKey): Promise<void> {
    return this.#reads.begin(async (number) => {
      const open = await this.#stores.jobs.open(key)
      const left = open.filter(({ id }) => number > (this.#ended.get(`${key} ${id}`) ?? 0))
      this.#jobs.take(key, someOrNone(left), number)
    })
  }

  /** It is stored that this job ended: it is open in no answer any more. */
  endJob(key: SessionKey, id: string): void {
    const { oldest } = this.#reads
    for (const [job, number] of this.#ended) if (number <= oldest) this.#ended.delete(job)
    this.#ended.set(`${key} ${id}`, this.#reads.next())
    this.#jobs.amend(key, (open) => someOrNone(open.filter((job) => job.id !== id)))
  }

  /** Nothing of the session is stored any more. */
  forget(key: SessionKey): void {
    const number = this.#reads.next()
    this.#sessions.take(key, undefined, number)
    if (this.#lives.values.get(nameOfKey(key)) === key) this.#lives.take(nameOfKey(key), undefined, number)
    this.#takeOwner(key, undefined, number)
    this.#jobs.take(key, undefined, number)
  }
}

/** Once its device is dealt with, nothing needs the state any more: it is not rebuilt, whatever is left of it. */
const wantedAway = ({ session, purge, unlinkResult }: Removal): Session => ({
  ...session,
  want: { ...session.want, deleting: { purge } },
  dataKeys: unlinkResult ? [] : session.dataKeys,
})

const someOrNone = <T>(list: readonly T[]): readonly T[] | undefined => (list.length > 0 ? list : undefined)

const isAhead = (owner: Owner, known: Owner): boolean =>
  owner.epoch > known.epoch ||
  (owner.epoch === known.epoch && owner.runnerId === undefined && known.runnerId !== undefined)

/** Within one record's life neither happens: epochs grow, and each is one runner's. */
const contradicts = (owner: Owner, known: Owner): boolean =>
  owner.epoch < known.epoch ||
  (owner.epoch === known.epoch &&
    owner.runnerId !== undefined &&
    known.runnerId !== undefined &&
    owner.runnerId !== known.runnerId)

/** Resolves when all is done, or when the time is over; what is not done by then goes on. */
async function fewAtOnce<T>(
  items: readonly T[],
  clock: Clock,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = items.values()
  const worker = async (): Promise<void> => {
    for (const item of waiting) await work(item)
  }
  await within(
    clock,
    SINGLE_READS_WITHIN_MS,
    Promise.all(Array.from({ length: Math.min(READS_AT_ONCE, items.length) }, worker)),
  )
}
