import { FieldValue, Timestamp, type DocumentData } from '@google-cloud/firestore'
import type { Watch } from '../store/watch.ts'
import { timestampOf, type Database } from './database.ts'
import { spread } from './document-id.ts'
import { listen } from './listen.ts'
import type { Writes } from './writes.ts'

type SignalKind = 'session' | 'owner' | 'runner' | 'removal'
interface SignalDocument {
  kind: SignalKind
  name: string
  told?: DocumentData
}
type Changed = (name: string, told: Told | undefined) => void

/** What a signal tells along, and when both were written. */
interface Told {
  data: DocumentData
  at: Timestamp
}

/**
 * `signals/{hash}~{kind}~{name}` {kind, name, told?, at: server time, expireAt: TTL}: "look at this again". What is small is
 * told along, so that nobody need look.
 *
 * A listener on the records themselves would be billed for every status, renewal and first read of every session by
 * every process. A signal is written in the same atomic group as the change it tells of, so that it costs no time; one
 * listener per process hears the signals since it started and nothing else. A removal is a signal like any other.
 */
export interface Signals {
  /** Adds the signal to a group of writes. */
  raise(writes: Writes, kind: SignalKind, name: string, told?: DocumentData): void
  /** Removes signals once everybody had time to hear them: of what was purged not even the name may stay. Never fails. */
  forget(signals: readonly (readonly [kind: SignalKind, name: string])[]): void
  watch(kind: SignalKind, changed: Changed): Watch
  close(): Promise<void>
}

/**
 * A signal's time is taken when its request starts, so it may become visible a moment after a later one; and `watch`
 * must not miss what happens while it subscribes. Hearing a minute twice is harmless.
 */
const OVERLAP_MS = 60_000
/** A listener hears of a signal within a second or so; one that is late reads everything with the next full pass. */
const HEARD_WITHIN_MS = 5_000
/**
 * A process that was away for longer reads everything anyway. TTL deletes within a day of this
 * (docs/facts/google-cloud.md §2.1).
 */
const KEEP_MS = 24 * 3_600_000

export function createSignals(db: Database): Signals {
  const collection = db.collection('signals')
  const watchers = new Map<SignalKind, Set<Changed>>()
  let listener: Watch | undefined

  const subscribe = async (lastMs: number | undefined) => {
    const sinceMs = lastMs ?? (await serverNowMs(db))
    return collection.where('at', '>', timestampOf(sinceMs - OVERLAP_MS))
  }

  const open = (): Watch =>
    listen(db, 'watch signals', subscribe, (snapshot) => {
      for (const { type, doc } of snapshot.docChanges()) {
        if (type === 'removed') continue
        const { kind, name, told: data } = doc.data() as SignalDocument
        // All writes of a group bear the same time.
        const told = data && { data, at: doc.updateTime }
        for (const changed of watchers.get(kind) ?? []) changed(name, told)
      }
    })

  async function closeIfUnused(): Promise<void> {
    if ([...watchers.values()].some((set) => set.size > 0)) return
    const unused = listener
    listener = undefined
    await unused?.close()
  }

  return {
    raise(writes, kind, name, told) {
      const at = FieldValue.serverTimestamp()
      const expireAt = timestampOf(db.clock.nowMs() + KEEP_MS)
      writes.set(collection.doc(spread(`${kind}~${name}`)), {
        kind,
        name,
        ...(told && { told }),
        at,
        expireAt,
      })
    },
    forget(names) {
      db.clock.after(HEARD_WITHIN_MS, () => {
        void db
          .commit('forget signals', (writes) => {
            for (const [kind, name] of names) writes.delete(collection.doc(spread(`${kind}~${name}`)))
          })
          // What is not removed now goes with its time to live.
          .catch(() => undefined)
      })
    },
    watch(kind, changed) {
      // A function of its own, so that one callback may be given twice and closed once.
      const watcher: Changed = (name, told) => changed(name, told)
      const set = watchers.get(kind) ?? new Set()
      watchers.set(kind, set.add(watcher))
      listener ??= open()
      return {
        close() {
          set.delete(watcher)
          return closeIfUnused()
        },
      }
    },
    close() {
      watchers.clear()
      return closeIfUnused()
    },
  }
}

/** The server's clock: the time at which it read a document that need not exist. */
async function serverNowMs(db: Database): Promise<number> {
  const snapshot = await db.get('ask for the time', db.collection('signals').doc('now'))
  return (snapshot.readTime ?? Timestamp.now()).toMillis()
}
