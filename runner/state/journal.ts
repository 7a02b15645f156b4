import { macOf } from '#shared/envelope.ts'
import { CodedError, toError } from '#shared/errors.ts'
import type { Witness } from '#shared/session.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import { Appender, type AppenderDeps } from './appender.ts'
import { appRecords, carryApp } from './app-records.ts'
import type { Before, EntryBody, EntryKind } from './entry.ts'
import { PendingChanges, type Change } from './pending-changes.ts'
import type { Chunk, RecordMap } from './record-map.ts'

/** Changes that only ride along are written after this time at the latest, when nothing else took them. */
const LAZY_FLUSH_MS = 5_000
/** Bounds what may wait for the store in one session; a history sync stays far below. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024

interface Waiter {
  resolve(): void
  reject(error: Error): void
}

/**
 * Writes one session's journal under one epoch. `set` changes the memory at once and resolves when the entry that holds
 * the change is durable; everything that comes while an append is in flight goes out together in the next one.
 *
 * It is open until it is closed (a hand-over: later writes are refused, earlier ones still become durable) or broken (it
 * was fenced, or the store stayed away too long: memory is ahead of the store, so the session must be rehydrated).
 */
export class SessionJournal {
  readonly #deps: JournalDeps
  /** The last entry that was cut: what the next one follows. */
  #cutAt: { seq: number; mac: string | undefined }
  /** The last entry that is durable. */
  #head: Witness | undefined
  readonly #appender: Appender
  readonly #pending = new PendingChanges()
  #waiting: Waiter[] = []
  /** Those who wait for the entry in flight. */
  #flying: Waiter[] = []
  #credsDirty = false
  #scheduled = false
  #inFlight: Promise<void> | undefined
  #flyingSinceMs: number | undefined
  #captures: ((capture: Capture) => void)[] = []
  #cancelLazy: (() => void) | undefined
  #state: 'open' | 'closed' | 'broken' = 'open'
  #replacing = false
  #broken: Error | undefined

  constructor(deps: JournalDeps) {
    this.#deps = deps
    this.#cutAt = { seq: deps.headSeq, mac: deps.headMac }
    this.#appender = new Appender(deps, {
      broken: () => this.#broken,
      giveUp: (error) => this.#break(error),
    })
  }

  /** The seq of the last entry that was cut. */
  get seq(): number {
    return this.#cutAt.seq
  }

  /** The last entry of this journal that is durable; none before the first that it wrote. */
  get head(): Witness | undefined {
    return this.#head
  }

  /** True while nothing that the protocol relies on waits to become durable. */
  get isDurable(): boolean {
    return this.#inFlight === undefined && !this.#scheduled
  }

  /** Monotonic: since when an entry is on its way into the store, or was when this broke. */
  get undurableSinceMs(): number | undefined {
    return this.#flyingSinceMs
  }

  /**
   * Applies the changes at once and atomically, and resolves when they are durable. Lazy changes resolve at once,
   * ride with the next entry, and are written by themselves after a while; those that only `ride` wait for a next entry as
   * long as it takes. @throws CodedError `closed`, `fenced`, `store_unavailable`, `overloaded`, `conflict`
   */
  set(changes: readonly Change[], options: { lazy?: boolean; ride?: boolean } = {}): Promise<void> {
    const refusal = this.#refusal()
    if (refusal) return Promise.reject(refusal)
    for (const change of changes) this.#pending.apply(this.#deps.records, change)
    if (options.ride) return Promise.resolve()
    if (options.lazy) {
      this.#cancelLazy ??= this.#deps.clock.after(LAZY_FLUSH_MS, () => this.#schedule())
      return Promise.resolve()
    }
    return this.#wait()
  }

  /** Says that the credentials changed: they start an entry at once, or ride with the one that is being gathered. */
  credsChanged(): void {
    if (this.#state !== 'open' || this.#replacing) return
    this.#credsDirty = true
    this.#schedule()
  }

  /** Resolves when all that was set before is durable, the lazy changes too. */
  flush(): Promise<void> {
    if (this.#broken) return Promise.reject(this.#broken)
    if (!this.#pending.isEmpty || this.#credsDirty) return this.#wait()
    return this.durable()
  }

  /** Resolves when all that the protocol relies on is durable. Rejects when that can't be had any more. */
  durable(): Promise<void> {
    if (this.#broken) return Promise.reject(this.#broken)
    if (this.#scheduled) return this.#wait()
    return this.#inFlight ? this.#landing() : Promise.resolve()
  }

  /** From here on `set` throws; what was set before still becomes durable. */
  close(): void {
    if (this.#state === 'open') this.#state = 'closed'
  }

  /** Gives up: for a lost lease. Nothing is written any more, and all that waits is rejected. */
  abandon(error: Error): void {
    this.#break(error)
  }

  /** An entry of its own, of another kind than what `set` writes; durable when it resolves. */
  append(kind: Exclude<EntryKind, 'change'>, changes: readonly Change[] = []): Promise<void> {
    const { records } = this.#deps
    let all = changes
    const seal = (): JournalEntry => {
      // A reset stands for the whole state by itself, so it says what it keeps of the state before.
      if (kind === 'reset') all = [...appRecords(records), ...changes]
      return this.#seal({ kind, changes: all })
    }
    return this.#alone(seal, () => {
      if (kind === 'reset') records.clear()
      for (const [key, value] of all) records.set(key, value)
    })
  }

  /**
   * Puts another state in the place of this one: `keep` stores it as the snapshot `idOf` its seq, then one entry names that
   * snapshot, and this entry decides: before it the old state holds, from it on the new one. The entry is sealed before
   * anything is stored, since the snapshot holds its MAC. Nothing can be set meanwhile. When `keep` fails nothing has
   * changed. Durable when it resolves. The records of the application go over from the old state to `records` before `keep`
   * is asked.
   */
  async replace(
    records: RecordMap,
    idOf: (seq: number) => string,
    keep: (id: string, at: Witness) => Promise<void>,
  ): Promise<void> {
    const refusal = this.#refusal()
    if (refusal) throw refusal
    this.#replacing = true
    try {
      while (this.#isBusy) await this.flush()
      carryApp(this.#deps.records, records)
      const snapshot = idOf(this.#cutAt.seq + 1)
      const entry = this.#seal({ kind: 'jump', changes: [], snapshot })
      await keep(snapshot, placeOf(entry))
      const jump = (): JournalEntry => {
        if (entry.seq === this.#cutAt.seq + 1) return entry
        throw new CodedError(
          'conflict',
          'another entry took the place of the one that was to replace the state',
        )
      }
      await this.#alone(jump, () => this.#deps.records.become(records))
    } finally {
      this.#replacing = false
    }
  }

  /**
   * The whole state exactly as it is after one entry, and that entry's seq; resolves when the entry is durable.
   * Packing runs synchronously, so nothing can slip in between.
   */
  capture(): Promise<Capture> {
    if (this.#broken) return Promise.reject(this.#broken)
    if (!this.#pending.isEmpty || this.#credsDirty) {
      return new Promise((resolve, reject) => {
        this.#captures.push(resolve)
        this.#waiting.push({ resolve: () => undefined, reject })
        this.#schedule()
      })
    }
    const { seq, mac } = this.#cutAt
    if (mac === undefined) return Promise.reject(new Error('a chain begins with its first entry'))
    const capture = { seq, mac, chunks: this.#deps.records.repack() }
    return this.durable().then(() => capture)
  }

  #refusal(): Error | undefined {
    if (this.#broken) return this.#broken
    if (this.#state === 'closed') return new CodedError('closed', 'set after the session was closed')
    if (this.#replacing)
      return new CodedError('conflict', 'set while another state takes the place of this one')
    if (this.#pending.bytes > WAITING_BYTES_MAX)
      return new CodedError('overloaded', 'set while too much waits for the store')
    return undefined
  }

  #wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#schedule()
    })
  }

  /**
   * Settles with the entry in flight, or with the break. Never the append itself: a store that does not answer leaves it
   * pending for ever, and whoever waits must hear of the break all the same.
   */
  #landing(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#flying.push({ resolve, reject })
    })
  }

  /** The entry is cut at the end of this turn of the event loop, so that parallel writes of one message share it. */
  #schedule(): void {
    if (this.#scheduled || this.#state === 'broken') return
    this.#scheduled = true
    if (!this.#inFlight) this.#deps.soon(() => this.#cut())
  }

  #cut(): void {
    this.#scheduled = false
    if (this.#state === 'broken') return
    this.#cancelLazy?.()
    this.#cancelLazy = undefined
    this.#takeCreds()
    const waiters = this.#waiting
    const captures = this.#captures
    this.#waiting = []
    this.#captures = []
    if (this.#pending.isEmpty && captures.length === 0) {
      for (const waiter of waiters) waiter.resolve()
      return
    }
    const { changes, before } = this.#pending.take()
    const entry = this.#seal({ kind: 'change', changes }, before)
    const appended = this.#appender.append(entry)
    const chunks = captures.length > 0 ? this.#deps.records.repack() : []
    this.#flying = waiters
    this.#fly(entry, appended, () => {
      for (const give of captures) give({ ...placeOf(entry), chunks })
    })
  }

  get #isBusy(): boolean {
    return !this.#pending.isEmpty || this.#credsDirty || this.#scheduled || this.#inFlight !== undefined
  }

  async #alone(cut: () => JournalEntry, apply: () => void): Promise<void> {
    // Checked and done without a turn in between: what is set from here on comes after this entry.
    while (this.#isBusy) await this.flush()
    this.#refuseBroken()
    const entry = cut()
    apply()
    this.#fly(entry, this.#appender.append(entry))
    await this.#landing()
  }

  #refuseBroken(): void {
    if (this.#broken) throw this.#broken
  }

  /** The entry is on its way: it is the only one, and the next will follow it. */
  #fly(entry: JournalEntry, appended: Promise<void>, landed?: () => void): void {
    const place = placeOf(entry)
    this.#cutAt = place
    this.#flyingSinceMs = this.#deps.clock.monotonicMs()
    this.#inFlight = appended.then(
      () => {
        // What lands after a break was given up: those who waited have been refused.
        if (this.#state === 'broken') return
        this.#head = place
        for (const waiter of this.#flying) waiter.resolve()
        landed?.()
        this.#next()
      },
      (error: unknown) => this.#break(toError(error)),
    )
  }

  #next(): void {
    this.#flying = []
    this.#inFlight = undefined
    this.#flyingSinceMs = undefined
    if (this.#scheduled) this.#deps.soon(() => this.#cut())
  }

  #takeCreds(): void {
    if (!this.#credsDirty) return
    this.#credsDirty = false
    const change = this.#deps.creds()
    if (!change) return
    const [key, value] = change
    const known = this.#deps.records.get(key)
    if (known && Buffer.compare(known, value) === 0) return
    this.#pending.apply(this.#deps.records, change)
  }

  #seal(body: EntryBody, before: Before = nothingBefore): JournalEntry {
    const { seq, mac } = this.#cutAt
    return this.#appender.seal(seq + 1, body, before, mac)
  }

  #break(error: Error): void {
    if (this.#state === 'broken') return
    this.#state = 'broken'
    this.#broken = error
    this.#inFlight = undefined
    this.#scheduled = false
    this.#captures = []
    this.#cancelLazy?.()
    const waiters = [...this.#flying, ...this.#waiting]
    this.#flying = []
    this.#waiting = []
    for (const waiter of waiters) waiter.reject(error)
    this.#deps.broken(error)
  }
}

const nothingBefore: Before = () => undefined

const placeOf = ({ seq, sealed }: JournalEntry): Witness => ({ seq, mac: macOf(sealed) })

/** The state after the entry with this seq and this MAC. */
export interface Capture extends Witness {
  chunks: readonly Chunk[]
}

export interface JournalDeps extends AppenderDeps {
  /** The seq of the newest entry there is; the next one gets the following. */
  headSeq: number
  /** The MAC that the next entry follows; none where the chain begins with it. */
  headMac: string | undefined
  records: RecordMap
  /** The credentials as a record, when there are any. */
  creds: () => readonly [key: string, value: Uint8Array] | undefined
  broken: (error: Error) => void
  /** Runs a task at the end of this turn of the event loop: `setImmediate`, but for simulations. */
  soon: (task: () => void) => void
}
