import { decodeValue, recordKey, splitRecordKey } from '../state/record.ts'
import type { Change } from '../state/pending-changes.ts'
import type { Dropped } from './dropped.ts'

const KiB = 1024
const MiB = 1024 * KiB

/** What the records of one kind may take, in bytes as they are stored, names included (but for `record`). */
interface Budget {
  record: number
  /** All that one person makes; without it a person makes one or two. */
  person?: number
  session: number
  /** Whose a record is, by its id. */
  personOf?: (id: string) => string | undefined
  /** When it was last used, by what is in it; comparable among the records of one kind. */
  lastUse?: (value: unknown) => number
  /** One that is never evicted, and has no limit of its own: it grows with the others. */
  kept?: string
}

/** `user[_domain].device` */
const personOfAddress = (id: string): string | undefined => id.split('.')[0]

/**
 * Every kind of record that others can make a session keep, with what it may take (docs/design/tenants.md §15.2; sizes of
 * ordinary ones in docs/facts/baileys.md §3). The other kinds are made by the account itself: `creds`, `pre-key`,
 * `app-state-sync-key`, `app-state-sync-version`; and `app`, which the inbox and the numbers bound.
 */
export const BUDGETS: Readonly<Record<string, Budget>> = {
  session: {
    record: MiB,
    person: 4 * MiB,
    session: 64 * MiB,
    personOf: personOfAddress,
    lastUse: lastUseOfSession,
  },
  'identity-key': { record: KiB, person: 16 * KiB, session: 4 * MiB, personOf: personOfAddress },
  'sender-key': {
    record: 512 * KiB,
    person: 4 * MiB,
    session: 64 * MiB,
    personOf: (id) => id.split('::')[1],
  },
  'sender-key-memory': { record: MiB, session: 16 * MiB },
  'lid-mapping': { record: 256, session: 4 * MiB },
  'device-list': { record: 4 * KiB, session: 4 * MiB },
  tctoken: { record: KiB, session: 4 * MiB, lastUse: lastUseOfToken, kept: '__index' },
}

/** Made room for at once, so that not every record that comes looks for one that goes. */
const ROOM = 0.05
/**
 * A state of fewer chunks, or a kind that grew by less, is not counted: no budget can be reached. Counting opens all records
 * of a kind, and idle sessions are many.
 */
const CHUNKS_UNCOUNTED = 64
const GROWTH_UNCOUNTED = 256 * KiB
/** The records used last, of each kind: they are evicted last, in the order of their use. */
const USED_MAX = 2_000
/** Of those that nobody used since the state was opened so many are looked into for the oldest. */
const SAMPLE_MAX = 1_000

interface Records {
  get(key: string): Uint8Array | undefined
  entries(prefix?: string): Iterable<readonly [string, Uint8Array]>
  readonly chunks: number
}

interface Counted {
  total: number
  persons: Map<string, number>
}

/** What was used, by kind; it outlasts the connection, as the records do. */
const usedIn = new WeakMap<Records, Map<string, Set<string>>>()

/**
 * Keeps every kind of record within its budget: what is too large is not kept, and for one more than there is room for the
 * one goes that was longest not used, of the same person where the person has too many. What goes is learned again: a
 * session by a bundle or a retry receipt, a sender key by a retry receipt, a mapping and a list by asking.
 */
export class RecordBudgets {
  readonly #records: Records
  readonly #dropped: Dropped
  readonly #isOwn: (person: string) => boolean
  readonly #counted = new Map<string, Counted>()
  readonly #grown = new Map<string, number>()
  readonly #used: Map<string, Set<string>>

  /** `isOwn`: the account itself, by number or LID as addresses have it, has no budget of a person. */
  constructor(records: Records, dropped: Dropped, isOwn: (person: string) => boolean) {
    this.#records = records
    this.#dropped = dropped
    this.#isOwn = isOwn
    this.#used = usedIn.get(records) ?? new Map()
    usedIn.set(records, this.#used)
  }

  /** A record was read or written just now. */
  use(type: string, id: string): void {
    if (!BUDGETS[type]) return
    const ids = this.#used.get(type) ?? new Set()
    this.#used.set(type, ids)
    ids.delete(id)
    ids.add(id)
    if (ids.size > USED_MAX) for (const oldest of ids) return void ids.delete(oldest)
  }

  /** The changes as they may be made: without what is too large, and with what must go for the rest. */
  admit(changes: readonly Change[]): readonly Change[] {
    const admitted = changes.flatMap((change) => this.#fitting(change))
    const coming = new Set(admitted.map(([key]) => key))
    const going: Change[] = []
    for (const change of admitted) {
      for (const key of this.#goingFor(change, coming)) {
        this.#dropped('evicted')
        coming.add(key)
        going.push([key, null])
      }
    }
    return [...admitted, ...going]
  }

  #fitting(change: Change): Change[] {
    const [key, value] = change
    const { type, id } = splitRecordKey(key)
    const budget = BUDGETS[type]
    if (!budget || !value || id === budget.kept || value.length <= budget.record) return [change]
    this.#dropped('oversized')
    return this.#records.get(key) ? [[key, null]] : []
  }

  /** The keys of what must go for this change. */
  #goingFor([key, value]: Change, coming: ReadonlySet<string>): string[] {
    const { type, id } = splitRecordKey(key)
    const budget = BUDGETS[type]
    if (!budget) return []
    if (value) this.use(type, id)
    else this.#used.get(type)?.delete(id)
    const before = this.#records.get(key)
    const grownBy = (value ? key.length + value.length : 0) - (before ? key.length + before.length : 0)
    const counted = this.#countedOf(type, budget, grownBy)
    if (!counted) return []
    const person = budget.personOf?.(id)
    this.#add(counted, person, grownBy)
    if (grownBy <= 0) return []
    const going: string[] = []
    const evict = (of: string | undefined, now: number, max: number): void => {
      if (now <= max) return
      for (const one of this.#longestUnused(type, budget, of, now - max * (1 - ROOM), coming)) {
        this.#add(counted, budget.personOf?.(one.id), -one.size)
        this.#used.get(type)?.delete(one.id)
        going.push(recordKey(type, one.id))
      }
    }
    if (person !== undefined && budget.person !== undefined && !this.#isOwn(person))
      evict(person, counted.persons.get(person) ?? 0, budget.person)
    evict(undefined, counted.total, budget.session)
    return going
  }

  #countedOf(type: string, budget: Budget, grownBy: number): Counted | undefined {
    const known = this.#counted.get(type)
    if (known) return known
    const grown = (this.#grown.get(type) ?? 0) + Math.max(0, grownBy)
    this.#grown.set(type, grown)
    if (grownBy <= 0 || (this.#records.chunks <= CHUNKS_UNCOUNTED && grown <= GROWTH_UNCOUNTED))
      return undefined
    const counted: Counted = { total: 0, persons: new Map() }
    for (const { id, size } of this.#all(type)) this.#add(counted, budget.personOf?.(id), size)
    this.#counted.set(type, counted)
    return counted
  }

  #add(counted: Counted, person: string | undefined, bytes: number): void {
    counted.total += bytes
    if (person === undefined) return
    const left = (counted.persons.get(person) ?? 0) + bytes
    if (left > 0) counted.persons.set(person, left)
    else counted.persons.delete(person)
  }

  *#all(type: string): Generator<{ id: string; size: number }> {
    const prefix = recordKey(type, '')
    for (const [key, bytes] of this.#records.entries(prefix))
      yield { id: key.slice(prefix.length), size: key.length + bytes.length }
  }

  /** Enough of them to free that many bytes, in the order in which they go. */
  #longestUnused(
    type: string,
    budget: Budget,
    person: string | undefined,
    bytes: number,
    sparing: ReadonlySet<string>,
  ): { id: string; size: number }[] {
    const used = this.#used.get(type) ?? new Set<string>()
    const order = new Map([...used].map((id, at) => [id, at] as const))
    const mayGo = [...this.#all(type)].filter(
      ({ id }) =>
        id !== budget.kept &&
        (person === undefined || budget.personOf?.(id) === person) &&
        !sparing.has(recordKey(type, id)),
    )
    const unused = this.#oldestFirst(
      type,
      budget,
      mayGo.filter(({ id }) => !used.has(id)),
    )
    const inUse = mayGo
      .filter(({ id }) => used.has(id))
      .toSorted((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0))
    const going: { id: string; size: number }[] = []
    let left = bytes
    for (const one of [...unused, ...inUse]) {
      if (left <= 0) break
      going.push(one)
      left -= one.size
    }
    return going
  }

  /** A sample of them by what is in them, and the others behind. */
  #oldestFirst<T extends { id: string }>(type: string, { lastUse }: Budget, all: readonly T[]): T[] {
    if (!lastUse) return [...all]
    const every = Math.max(1, Math.ceil(all.length / SAMPLE_MAX))
    const sample = all.filter((_, at) => at % every === 0)
    const rest = all.filter((_, at) => at % every !== 0)
    const at = new Map(
      sample.map(({ id }) => {
        const bytes = this.#records.get(recordKey(type, id))
        return [id, bytes ? lastUse(decodeValue(bytes)) : 0] as const
      }),
    )
    return [...sample.toSorted((a, b) => (at.get(a.id) ?? 0) - (at.get(b.id) ?? 0)), ...rest]
  }
}

/** libsignal notes when each session of a record was used last. */
function lastUseOfSession(record: unknown): number {
  const { _sessions: sessions = {} } = (record ?? {}) as {
    _sessions?: Record<string, { indexInfo?: { used?: number } } | null>
  }
  return Math.max(0, ...Object.values(sessions).map((session) => Number(session?.indexInfo?.used) || 0))
}

/** Seconds since 1970, of when the other side or we gave one. */
function lastUseOfToken(token: unknown): number {
  const { timestamp, senderTimestamp } = (token ?? {}) as Record<string, unknown>
  return Math.max(Number(timestamp) || 0, Number(senderTimestamp) || 0)
}
