import { FieldValue } from '@google-cloud/firestore'
import { CodedError } from '../errors.ts'
import { splitKey, type SessionKey, type TenantId } from '../ids.ts'
import { interruptedTry, nextTry, type Job, type JobStore } from '../store/job-store.ts'
import { createAcceptance, type Accepted } from './acceptance.ts'
import { change } from './change.ts'
import { dataOf, type Database } from './database.ts'
import { documentId, shardOf } from './document-id.ts'
import { listen } from './listen.ts'
import { sweep } from './sweeper.ts'
import type { TenantCounters } from './tenant-counters.ts'
import type { Writes } from './writes.ts'

/** `jobs/{hash}~{key}~{id}` {key, shard, accepted, turn, open?, importOf?, finishedAt?, job}; `open` as in the outbox, `importOf` the tenant of an open import. */
interface JobDocument extends Accepted {
  key: SessionKey
  shard: number
  open?: true
  importOf?: TenantId
  finishedAt?: number
  job: Job
}

export function firestoreJobStore(db: Database, counters: TenantCounters): JobStore {
  const collection = db.collection('jobs')
  const refOf = (key: SessionKey, id: string) => collection.doc(documentId(key, id))
  const acceptance = createAcceptance()

  return {
    async create(key, job) {
      const what = 'create a job'
      const ref = refOf(key, job.id)
      const { tenant } = splitKey(key)
      const isCounted = job.kind === 'import' && job.state === 'open'
      let stored: Job | undefined
      const settle = async (): Promise<boolean> => {
        stored = dataOf<JobDocument>(await db.get(what, ref))?.job
        return stored !== undefined
      }
      const accepted = acceptance()
      const fill = (writes: Writes): void =>
        writes.create(ref, {
          key,
          shard: shardOf(key),
          ...accepted,
          ...(job.state === 'open' && { open: true }),
          ...(isCounted && { importOf: tenant }),
          ...(job.finishedAt !== undefined && { finishedAt: job.finishedAt }),
          job,
        })
      if (isCounted) {
        // A repeat must not be refused because the job that it made took the last place.
        if (!(await settle())) await counters.commit({ what, tenant, quota: 'imports', by: 1, fill, settle })
        return stored ?? job
      }
      const outcome = await db.commit(what, fill)
      if (outcome.done) return job
      if (!(await settle())) throw new CodedError('store_unavailable', `${what}: it was removed meanwhile`)
      return stored ?? job
    },

    async get(key, id) {
      return dataOf<JobDocument>(await db.get('get a job', refOf(key, id)))?.job
    },

    async open(key) {
      const open = collection.where('key', '==', key).where('open', '==', true)
      const found = await db.query('read the open jobs', open.orderBy('accepted').orderBy('turn'))
      return found.docs.map((doc) => (doc.data() as JobDocument).job)
    },

    async openKeys() {
      const found = await db.query(
        'read the sessions with open jobs',
        collection.where('open', '==', true).select('key'),
      )
      return [...new Set(found.docs.map((doc) => (doc.data() as Pick<JobDocument, 'key'>).key))]
    },

    async begin(key, id, by) {
      const seen = await change<JobDocument>(db, 'begin a job', refOf(key, id), (stored) => {
        if (stored?.job.state !== 'open') return undefined
        return { fields: { job: { ...stored.job, latestTry: nextTry(stored.job.latestTry, by) } } }
      })
      return seen?.data.job.state === 'open' ? seen.data.job : undefined
    },

    async interrupt(key, id, by) {
      await change<JobDocument>(db, 'interrupt a job', refOf(key, id), (stored) => {
        const latestTry = interruptedTry(stored?.job.latestTry, by)
        if (stored?.job.state !== 'open' || !latestTry) return undefined
        return { fields: { job: { ...stored.job, latestTry } } }
      })
    },

    async finish(key, id, { state, result, error, nowMs }) {
      await change<JobDocument>(db, 'finish a job', refOf(key, id), (stored) => {
        if (stored?.job.state !== 'open') return undefined
        const end = { args: {}, state, finishedAt: nowMs, ...(result && { result }), ...(error && { error }) }
        return {
          fields: {
            job: { ...stored.job, ...end },
            open: FieldValue.delete(),
            importOf: FieldValue.delete(),
            finishedAt: nowMs,
          },
        }
      })
    },

    sweep: (ask) => sweep(db, 'sweep jobs', collection, 'finishedAt', ask),

    watch: (changed) =>
      listen(
        db,
        'watch jobs',
        () => Promise.resolve(collection.where('open', '==', true)),
        (snapshot) => {
          for (const { type, doc } of snapshot.docChanges()) {
            if (type === 'added') changed((doc.data() as JobDocument).key)
          }
        },
      ),
  }
}
