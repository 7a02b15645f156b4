import { FieldValue, type Timestamp } from '@google-cloud/firestore'
import { CodedError } from '../errors.ts'
import type { RunnerId } from '../ids.ts'
import type { RunnerRecord } from '../session.ts'
import type { Renewal, RunnerStore } from '../store/runner-store.ts'
import { dataOf, type Database } from './database.ts'
import type { Signals } from './signals.ts'

/**
 * `runners/{id}`: the record; `renewedAt` is the server's time of the renewal and is only ever compared with another
 * server time. `draining` is what the runner says; `drainAsked`, which no renewal writes, what others asked of it.
 *
 * A renewal is conditional on the record as the last one left it: one that was given up and lands late is refused, and
 * can't take the beat back or keep a dead runner's lease alive. And when it is taken, nobody has asked for a drain in
 * between; so it is one call, and answers with what it wrote.
 */
interface RunnerDocument extends Renewal {
  renewedAt: Timestamp
  drainAsked?: boolean
}

/**
 * A renewal that fails must leave time for another within `renewWithinMs`: 6.5 s from the last one, which was up to 3 s
 * ago (docs/design/ownership.md §4.1). It is one call when nothing came in between, and the next follows 0.6 s after one
 * that failed.
 */
const RENEW_CALL_MS = 2000
const RENEW_TIMEOUT_MS = 3000
const WHAT = 'renew a lease'

export function firestoreRunnerStore(db: Database, signals: Signals): RunnerStore {
  const collection = db.collection('runners')
  /** Its own records as this process last saw or wrote them. */
  const seen = new Map<RunnerId, { drainAsked: boolean; at: Timestamp }>()
  /** What this process has told of its runners: whether they drain. */
  const told = new Map<RunnerId, boolean>()

  const plain = ({ drainAsked, ...said }: RunnerDocument): RunnerRecord => ({
    ...said,
    ...(drainAsked === true ? { draining: true, drainAsked } : {}),
    renewedAt: said.renewedAt.toMillis(),
  })
  const lost = (id: RunnerId) => new CodedError('lease_lost', `the record of runner ${id} was removed`)

  async function look(id: RunnerId): Promise<{ stored: RunnerDocument; at: Timestamp }> {
    const snapshot = await db.get(WHAT, collection.doc(id), RENEW_CALL_MS)
    const stored = dataOf<RunnerDocument>(snapshot)
    if (!stored || !snapshot.updateTime) throw lost(id)
    seen.set(id, { drainAsked: stored.drainAsked === true, at: snapshot.updateTime })
    return { stored, at: snapshot.updateTime }
  }

  async function begin(record: Renewal): Promise<boolean> {
    const outcome = await db.commit(
      WHAT,
      (writes) => {
        writes.create(collection.doc(record.id), { ...record, renewedAt: FieldValue.serverTimestamp() })
        signals.raise(writes, 'runner', record.id)
      },
      RENEW_CALL_MS,
    )
    return outcome.done
  }

  /** What is stored then; `undefined` when the record is another by now. `renewedAt` is the time of the commit. */
  async function goOn(record: Renewal, unchangedSince: Timestamp): Promise<RunnerRecord | undefined> {
    const { id, draining } = record
    const tell = draining !== (told.get(id) ?? false)
    const outcome = await db.commit(
      WHAT,
      (writes) => {
        const fields = { ...record, renewedAt: FieldValue.serverTimestamp() }
        writes.update(collection.doc(id), fields, unchangedSince)
        if (tell) signals.raise(writes, 'runner', id)
      },
      RENEW_CALL_MS,
    )
    const at = outcome.done ? outcome.times[0] : undefined
    if (!at) return undefined
    told.set(id, draining)
    const drainAsked = seen.get(id)?.drainAsked === true
    seen.set(id, { drainAsked, at })
    return plain({ ...record, drainAsked, renewedAt: at })
  }

  async function renew(record: Renewal): Promise<RunnerRecord> {
    const { id, beat } = record
    let at = seen.get(id)?.at
    if (beat <= 1 && (await begin(record))) return plain((await look(id)).stored)
    for (;;) {
      const renewed = at && (await goOn(record, at))
      if (renewed) return renewed
      // A drain came in between, or this very renewal was written and its answer lost.
      const now = await look(id)
      if (now.stored.beat >= beat) return plain(now.stored)
      at = now.at
    }
  }

  async function ask(what: string, id: RunnerId, drainAsked: boolean): Promise<void> {
    const outcome = await db.commit(what, (writes) => {
      writes.update(collection.doc(id), { drainAsked })
      signals.raise(writes, 'runner', id)
    })
    if (!outcome.done) throw new CodedError('not_found', `there is no runner ${id}`)
  }

  return {
    renew: (record) => db.calls.within(WHAT, () => renew(record), RENEW_TIMEOUT_MS),

    async look() {
      const found = await db.query('look at the runners', collection)
      const records = found.docs.map((doc) => plain(doc.data() as RunnerDocument))
      return {
        nowMs: found.readTime.toMillis(),
        records: records.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
      }
    },

    drain: (id) => ask('ask a runner to drain', id, true),

    resume: (id) => ask('take a drain back', id, false),

    async remove(id) {
      told.delete(id)
      seen.delete(id)
      await db.commit('remove a runner', (writes) => {
        writes.delete(collection.doc(id))
        signals.raise(writes, 'runner', id)
      })
    },

    /** No server can know whether a process of another machine is gone. */
    provenDead: () => Promise.resolve(false),

    watch: (changed) => signals.watch('runner', () => changed()),
  }
}
