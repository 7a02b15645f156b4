import type { Clock } from '#shared/clock.ts'
import { CodedError, hasCode, toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Random } from '#shared/random.ts'
import type { Owner, Session, Witness } from '#shared/session.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { untilAborted } from '#shared/until-aborted.ts'
import type { DataKeys, KeyRing } from './data-keys.ts'
import { moveOldApp } from './app-records.ts'
import { ratchetFence, liftCounters } from './ratchet-fence.ts'
import { APPEND_WITHIN_MS } from './appender.ts'
import { SessionJournal } from './journal.ts'
import type { Change } from './pending-changes.ts'
import type { PreparedState } from './prepared.ts'
import { CREDS_KEY, decodeValue } from './record.ts'
import { RecordMap } from './record-map.ts'
import { rehydrate, type Rehydrated } from './rehydrate.ts'
import { isBase } from './restore-plan.ts'
import {
  recordSnapshot,
  SNAPSHOT_AFTER,
  snapshotId,
  storeSnapshot,
  writeSnapshot,
  type StoredSnapshot,
} from './snapshots.ts'
import type { WorkingCopies } from './working-copy.ts'

/** Late writes of earlier tries come one by one, and each adds one key. */
const ROTATE_TRIES = 5

/** The credentials as a record. */
export type CredsChange = readonly [key: string, value: Uint8Array]

export interface StateDeps {
  stores: Pick<Stores, 'snapshots' | 'blobs' | 'journal' | 'sessions' | 'keys'>
  dataKeys: DataKeys
  workingCopies: WorkingCopies
  clock: Clock
  random: Random
  log: Log
  soon: (task: () => void) => void
  appendWithinMs?: number
}

/**
 * One session's Signal state while this runner owns it: the records in memory, the journal that makes their changes
 * durable, and the snapshots. Made anew with every claim, and whenever it broke.
 */
export class SessionState {
  readonly key: SessionKey
  readonly epoch: number
  readonly records: RecordMap
  readonly journal: SessionJournal
  /** How the state was rebuilt; for the log, the boot report and the events. */
  readonly rebuilt: Rehydrated
  readonly #deps: StateDeps
  /** No socket uses it: a snapshot of now is clean. */
  atRest = true
  #ring: KeyRing
  #since: { bytes: number; entries: number }
  #lastSnapshot: SnapshotRecord | undefined
  #turn: Promise<unknown> = Promise.resolve()
  /** Ends the snapshots that are only due. */
  #way = new AbortController()
  /** Ends all snapshots. */
  #stay = new AbortController()
  #creds: (() => CredsChange | undefined) | undefined
  #broken: Error | undefined
  #onBroken: ((error: Error) => void) | undefined

  private constructor(deps: StateDeps, key: SessionKey, epoch: number, ring: KeyRing, rebuilt: Rehydrated) {
    this.#deps = deps
    this.#ring = ring
    this.key = key
    this.epoch = epoch
    this.rebuilt = rebuilt
    this.records = rebuilt.records
    this.#lastSnapshot = rebuilt.snapshots.find((snapshot) => snapshot.quarantined === undefined)
    this.#since = { bytes: rebuilt.bytesReplayed, entries: rebuilt.entriesReplayed }
    this.journal = new SessionJournal({
      key,
      epoch,
      headSeq: rebuilt.headSeq,
      headMac: rebuilt.headMac,
      records: this.records,
      store: deps.stores.journal,
      ring: () => this.#ring,
      clock: deps.clock,
      random: deps.random,
      creds: () => this.#creds?.(),
      appended: ({ bytes, entry }) => {
        this.#since.bytes += bytes
        this.#since.entries++
        deps.workingCopies.append(key, entry)
      },
      broken: (error) => {
        this.#broken = error
        this.#onBroken?.(error)
      },
      soon: deps.soon,
      appendWithinMs: deps.appendWithinMs ?? APPEND_WITHIN_MS,
    })
  }

  /**
   * Rebuilds the state and puts the barrier of this epoch behind it: from then on an older owner collides. A late entry of
   * the predecessor that lands in between is taken in. An incomplete state is fenced, and a snapshot bridges the gap. When
   * nothing at all could be read, nothing is written but the barrier: every start says so anew until there is a state.
   * @throws CodedError `fenced`, `store_unavailable`, `wrong_key`, `newer_format`
   */
  static async open(
    deps: StateDeps,
    session: Session,
    key: SessionKey,
    owner: Pick<Owner, 'epoch' | 'witness'>,
    prepared?: PreparedState,
  ): Promise<SessionState> {
    const { epoch } = owner
    // Read anew: a ring that lacks the newest data key would take good snapshots for damaged ones.
    const now = (await deps.stores.sessions.get(key)) ?? session
    const ring = await deps.dataKeys.ring(key, now, prepared?.replay.ring)
    const witnesses = [owner.witness, now.status?.witness].filter((witness) => witness !== undefined)
    // A prepared state is good for one try.
    for (let ahead = prepared; ; ahead = undefined) {
      const rebuilt = await rehydrate(deps, key, ring, witnesses, ahead)
      if (rebuilt.headEpoch > epoch)
        throw new CodedError('fenced', 'open state: a newer owner wrote this journal')
      const state = new SessionState(deps, key, epoch, ring, rebuilt)
      try {
        await state.journal.append('barrier')
      } catch (error) {
        if (hasCode(error, 'seq_taken')) continue
        throw error
      }
      // Nobody waits for it: until it is written with the next entry, the next start moves them again.
      await state.journal.set(moveOldApp(state.records), { ride: true })
      if (rebuilt.complete) {
        const changes = liftCounters(state.records, CREDS_KEY)
        if (changes.length > 0) await state.journal.set(changes)
      } else if (!state.records.isEmpty) {
        const fenced = new RecordMap(state.records.repack())
        for (const [name, value] of ratchetFence(fenced, CREDS_KEY, deps.clock.nowMs()))
          fenced.set(name, value)
        await state.replaceBy(fenced, 'fallback')
      }
      return state
    }
  }

  /** The credentials as they were stored, decoded anew; `undefined` for a session that has none. */
  storedCreds(): unknown {
    const bytes = this.records.get(CREDS_KEY)
    return bytes && decodeValue(bytes)
  }

  /** Where the live credentials are, for the entry after `journal.credsChanged()`; entries in between do without them. */
  followCreds(encode: (() => CredsChange | undefined) | undefined): void {
    this.#creds = encode
  }

  /** Called once, when the journal can't go on: memory is ahead of the store, the socket must go. */
  onBroken(listener: (error: Error) => void): void {
    this.#onBroken = listener
    if (this.#broken) listener(this.#broken)
  }

  get broken(): Error | undefined {
    return this.#broken
  }

  get lastSnapshot(): SnapshotRecord | undefined {
    return this.#lastSnapshot
  }

  /** The head of the journal as far as this owner wrote it: it is durable, and so is everything before it. */
  get witness(): Witness | undefined {
    return this.journal.head
  }

  /** Why a snapshot is due, if one is. */
  snapshotDue(nowMs: number): string | undefined {
    const { bytes, entries } = this.#since
    if (bytes >= SNAPSHOT_AFTER.bytes) return 'size'
    if (entries >= SNAPSHOT_AFTER.entries) return 'count'
    const at = this.#lastSnapshot?.at
    if (entries > 1 && at !== undefined && nowMs - at >= SNAPSHOT_AFTER.ageMs) return 'age'
    return undefined
  }

  /**
   * Takes a snapshot of now. Durable when it resolves; one at a time, a second call waits and takes its own. With `due` it is
   * one that nobody waits for: that signal ends it, and so does whatever else needs its turn. A labelled one is an archive:
   * credentials to go back to, without the records of the application.
   * @throws CodedError `closed` when it was ended
   */
  snapshot(
    reason: string,
    more: { label?: string; clean?: boolean; due?: AbortSignal } = {},
  ): Promise<SnapshotRecord> {
    return this.#inTurn(async (signal) => {
      const capture = await untilAborted(signal, this.journal.capture())
      const note = { reason, clean: more.clean ?? this.atRest, ...(more.label ? { label: more.label } : {}) }
      const write = (): Promise<SnapshotRecord> =>
        untilAborted(signal, writeSnapshot(this.#deps, this.#at(), capture, note, signal))
      // No start builds on an archive, so the journal since the last snapshot is as long as before.
      if (more.label) return (this.#lastSnapshot = await write())
      return this.#counted(write, signal)
    }, more.due)
  }

  /**
   * Ends the snapshots that are under way or wait for their turn, also where the store hangs: the state is about to go
   * elsewhere, and its journal is all that its next owner needs. What they had stored already is an object nobody points to.
   */
  interrupt(): void {
    this.#stay.abort(new CodedError('closed', 'snapshot: the session is being handed over'))
    this.#stay = new AbortController()
  }

  /** One at a time, in the order of the calls. */
  #inTurn<T>(work: (signal: AbortSignal) => Promise<T>, due?: AbortSignal): Promise<T> {
    if (!due) {
      this.#way.abort(new CodedError('closed', 'snapshot: something else came that does not wait for it'))
      this.#way = new AbortController()
    }
    const signal = AbortSignal.any([this.#stay.signal, ...(due ? [due, this.#way.signal] : [])])
    const turn = this.#turn.then(() => {
      signal.throwIfAborted()
      return work(signal)
    })
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  /** Counts what comes after the capture from zero; when the snapshot fails, what was before counts again. */
  async #counted(write: () => Promise<SnapshotRecord>, signal: AbortSignal): Promise<SnapshotRecord> {
    const { bytes, entries } = this.#since
    this.#since = { bytes: 0, entries: 0 }
    try {
      this.#lastSnapshot = await write()
      await untilAborted(signal, this.#retireKeys())
      return this.#lastSnapshot
    } catch (error) {
      this.#since.bytes += bytes
      this.#since.entries += entries
      throw error
    }
  }

  /**
   * After a rotation the old key is kept until no snapshot is sealed with it. With two newer ones the journal begins after
   * the older of them, so no entry needs it either. A failure is made up for by the next snapshot.
   */
  async #retireKeys(): Promise<void> {
    if (this.#ring.ids.length < 2) return
    const { dataKeys, stores, log } = this.#deps
    try {
      const snapshots = await stores.snapshots.list(this.key)
      if (snapshots.filter(isBase).length < 2) return
      const needed = new Set(snapshots.map((snapshot) => snapshot.dataKeyId))
      this.#ring = await dataKeys.retire(this.key, this.#ring, needed)
    } catch (error) {
      log.warn({ error: toError(error), sessionId: this.key }, 'old data keys could not be destroyed yet')
    }
  }

  #at(): { key: SessionKey; epoch: number; ring: KeyRing } {
    return { key: this.key, epoch: this.epoch, ring: this.#ring }
  }

  /**
   * Forgets the identity and starts from these records: a new one. What the application has not got yet stays. Durable when
   * it resolves.
   */
  async reset(records: readonly Change[]): Promise<void> {
    // The credentials of the connection before must not come back with the next entry.
    this.#creds = undefined
    await this.journal.append('reset', records)
  }

  /**
   * Puts another state in the place of this one: first its object, then the entry that names it, then its record. The entry
   * decides, so a crash at any point leaves the old state or the new one, and a late write of ours neither. Durable when it
   * resolves; the records must not be used any more. Those of the application are kept, whatever `records` came with.
   */
  replaceBy(records: RecordMap, reason: string): Promise<SnapshotRecord> {
    return this.#inTurn((signal) =>
      this.#counted(async () => {
        let stored: StoredSnapshot | undefined
        const idOf = (seq: number): string => snapshotId(this.epoch, seq, this.#deps.random, 'jump')
        await this.journal.replace(records, idOf, async (id, at) => {
          const capture = { ...at, chunks: records.repack() }
          const storing = storeSnapshot(this.#deps, this.#at(), capture, { id, reason, clean: false })
          stored = await untilAborted(signal, storing)
        })
        this.#creds = undefined
        if (!stored) throw new Error('the journal was replaced without a snapshot')
        await recordSnapshot(this.#deps, this.key, stored)
        return stored.record
      }, signal),
    )
  }

  /**
   * A new data key for all that follows, and a snapshot under it. Durable when it resolves; a repeat makes one more key, and
   * those that nothing needs are destroyed later.
   */
  async rotate(session: Session): Promise<void> {
    const now = await this.#addDataKey(session)
    await this.snapshot('rotate')
    await this.#deps.dataKeys.rewrap(this.key, this.#ring, now.dataKeys)
  }

  /** Answers the session as it was read before the key was added. */
  async #addDataKey(session: Session): Promise<Session> {
    const { dataKeys, stores } = this.#deps
    for (let triesLeft = ROTATE_TRIES; ; triesLeft--) {
      const now = (await stores.sessions.get(this.key)) ?? session
      try {
        this.#ring = await dataKeys.rotate(this.key, await dataKeys.ring(this.key, now), now.dataKeys)
        return now
      } catch (error) {
        // An earlier try, of ours or of the owner before, whose answer was lost came to be stored after this was read.
        if (!hasCode(error, 'conflict') || triesLeft === 1) throw error
      }
    }
  }

  /** The opened data keys of the session. */
  get ring(): KeyRing {
    return this.#ring
  }
}
