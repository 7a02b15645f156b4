import assert from 'node:assert/strict'
import type { Clock } from '#shared/clock.ts'
import { CodedError, hasCode } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Random } from '#shared/random.ts'
import type { JournalEntry, JournalStore } from '#shared/store/journal-store.ts'
import type { KeyRing } from './data-keys.ts'
import type { Before, EntryBody } from './entry.ts'
import { sealEntry } from './sealed-entry.ts'

/** How long one entry may stay undurable before the session gives up its socket; the store is away, not slow, by then. */
export const APPEND_WITHIN_MS = 60_000
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 1_000

export interface AppenderDeps {
  key: SessionKey
  epoch: number
  store: JournalStore
  ring: () => KeyRing
  clock: Clock
  random: Random
  appended: (done: { seq: number; bytes: number; entry: JournalEntry }) => void
  appendWithinMs: number
}

/** The journal that the entries are of. */
interface AppendingJournal {
  /** What broke it: nothing is tried any more. */
  broken: () => Error | undefined
  /** The store was away for too long. */
  giveUp: (error: Error) => void
}

/** Seals the entries of one epoch and brings them into the store, one after the other. */
export class Appender {
  readonly #deps: AppenderDeps
  readonly #journal: AppendingJournal
  #isAppending = false

  constructor(deps: AppenderDeps, journal: AppendingJournal) {
    this.#deps = deps
    this.#journal = journal
  }

  /** An entry, ready to be stored. `follows` is the MAC of the one before, none where the chain begins. */
  seal(seq: number, body: EntryBody, before: Before, follows: string | undefined): JournalEntry {
    const { key, epoch, ring, random } = this.#deps
    const sealed = sealEntry({ key, epoch, seq, follows }, ring(), body, before)
    return { seq, epoch, nonce: random.id(), sealed }
  }

  /**
   * One at a time: each entry says which one it follows, so the one before has to be there. Durable when it resolves. It is tried for as long as the store is away and the journal is not broken; a lost answer is
   * told from a lost entry by its nonce. @throws CodedError `fenced`, `seq_taken`, and what broke the journal
   */
  async append(entry: JournalEntry): Promise<void> {
    assert(!this.#isAppending, 'one append of a session is under way at a time')
    this.#isAppending = true
    const { key, clock, random, store } = this.#deps
    const stopWatch = clock.after(this.#deps.appendWithinMs, () =>
      this.#journal.giveUp(new CodedError('store_unavailable', 'append entry: the store was away too long')),
    )
    try {
      for (let waitMs = RETRY_MIN_MS; ; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
        const broken = this.#journal.broken()
        if (broken) throw broken
        try {
          await store.append(key, entry).catch((error: unknown) => this.#whose(entry, error))
          break
        } catch (error) {
          if (!hasCode(error, 'store_unavailable', 'overloaded')) throw error
          await clock.sleep(waitMs * (0.5 + random.next() / 2))
        }
      }
    } finally {
      stopWatch()
      this.#isAppending = false
    }
    this.#deps.appended({ seq: entry.seq, bytes: entry.sealed.length, entry })
  }

  /** Told apart by reading back: our own entry whose answer was lost, a newer owner's, or a bug. */
  async #whose(entry: JournalEntry, error: unknown): Promise<void> {
    if (!hasCode(error, 'seq_taken')) throw error
    const { key, epoch, store } = this.#deps
    const [found] = await store.read(key, entry.seq)
    if (found?.seq === entry.seq && found.nonce === entry.nonce) return
    if (found && found.epoch > epoch)
      throw new CodedError('fenced', 'append entry: a newer owner writes this journal')
    throw new CodedError('seq_taken', 'append entry: its seq is taken')
  }
}
