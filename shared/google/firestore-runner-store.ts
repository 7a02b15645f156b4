import { FieldValue, type Timestamp } from '@google-cloud/firestore'
import { CodedError } from '../errors.ts'
import type { RunnerId } from '../ids.ts'
import type { RunnerRecord } from '../session.ts'
import type { RunnerStore } from '../store/runner-store.ts'
import { dataOf, type Database } from './database.ts'
import { serverNowMs, type Signals } from './signals.ts'

type Renewal = Omit<RunnerRecord, 'renewedAt'>

/**
 * `runners/{id}`: the record; `renewedAt` is the server's time of the renewal and is only ever compared with another
 * server time. `draining` is only ever written as true after the first renewal, so that nothing can undo a drain.
 *
 * A renewal is conditional on the record as the last one left it: one that was given up and lands late is refused, and
 * can't take the beat back or keep a dead runner's lease alive.
 */
interface RunnerDocument extends Renewal {
  renewedAt: Timestamp
}

/**
 * A renewal that fails must leave time for another within `renewWithinMs`: 6.5 s from the last one, which was up to 3 s
 * ago (DESIGN, Ownership 1).
 */
const RENEW_CALL_MS = 1500
const RENEW_TIMEOUT_MS = 3000
const WHAT = 'renew a lease'

export function firestoreRunnerStore(db: Database, signals: Signals): RunnerStore {
  const collection = db.collection('runners')
  /** When this process last saw its own records; a renewal then needs no read before its write. */
  const seenAt = new Map<RunnerId, Timestamp>()
  /** Runners whose drain this process has told of. */
  const told = new Set<RunnerId>()

  const plain = (stored: RunnerDocument): RunnerRecord => ({
    ...stored,
    renewedAt: stored.renewedAt.toMillis(),
  })
  const lost = (id: RunnerId) => new CodedError('lease_lost', `the record of runner ${id} was removed`)

  async function look(id: RunnerId): Promise<{ stored: RunnerDocument; at: Timestamp }> {
    const snapshot = await db.get(WHAT, collection.doc(id), RENEW_CALL_MS)
    const stored = dataOf<RunnerDocument>(snapshot)
    if (!stored || !snapshot.updateTime) throw lost(id)
    seenAt.set(id, snapshot.updateTime)
    return { stored, at: snapshot.updateTime }
  }

  async function begin(record: Renewal): Promise<boolean> {
    const outcome = await db.commit(
      WHAT,
      (writes) => {
        writes.create(collection.doc(record.id), { ...record, renewedAt: FieldValue.serverTimestamp() })
        signals.mark(writes, 'runner', record.id)
      },
      RENEW_CALL_MS,
    )
    return outcome.done
  }

  async function goOn({ draining, ...rest }: Renewal, unchangedSince: Timestamp): Promise<boolean> {
    const tell = draining && !told.has(rest.id)
    const fields = { ...rest, renewedAt: FieldValue.serverTimestamp(), ...(draining && { draining }) }
    const outcome = await db.commit(
      WHAT,
      (writes) => {
        writes.update(collection.doc(rest.id), fields, unchangedSince)
        if (tell) signals.mark(writes, 'runner', rest.id)
      },
      RENEW_CALL_MS,
    )
    if (outcome.done && tell) told.add(rest.id)
    return outcome.done
  }

  async function renew(record: Renewal): Promise<RunnerRecord> {
    const { id, beat } = record
    let at = seenAt.get(id)
    if (beat <= 1 && (await begin(record))) return plain((await look(id)).stored)
    for (;;) {
      if (at && (await goOn(record, at))) return plain((await look(id)).stored)
      // A drain came in between, or this very renewal was written and its answer lost.
      const now = await look(id)
      if (now.stored.beat >= beat) return plain(now.stored)
      at = now.at
    }
  }

  return {
    renew: (record) => db.calls.within(WHAT, () => renew(record), RENEW_TIMEOUT_MS),

    async list() {
      const found = await db.query('list runners', collection)
      const records = found.docs.map((doc) => plain(doc.data() as RunnerDocument))
      return records.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    },

    nowMs: () => serverNowMs(db),

    async drain(id) {
      const outcome = await db.commit('drain a runner', (writes) => {
        writes.update(collection.doc(id), { draining: true })
        signals.mark(writes, 'runner', id)
      })
      if (!outcome.done) throw new CodedError('not_found', `there is no runner ${id}`)
    },

    async remove(id) {
      told.delete(id)
      seenAt.delete(id)
      await db.commit('remove a runner', (writes) => {
        writes.delete(collection.doc(id))
        signals.mark(writes, 'runner', id)
      })
    },

    /** No server can know whether a process of another machine is gone. */
    provenDead: () => Promise.resolve(false),

    watch: (changed) => signals.watch('runner', () => changed()),
  }
}
