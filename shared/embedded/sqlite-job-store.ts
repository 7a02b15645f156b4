import { splitKey, type SessionKey } from '../ids.ts'
import { interruptedTry, nextTry, type Job, type JobStore } from '../store/job-store.ts'
import type { Changes } from './changes.ts'
import { sweepRows } from './paging.ts'
import { toBody } from './body.ts'
import type { SqliteFile } from './sqlite-file.ts'
import { demandRoom } from './sqlite-tenant-store.ts'

interface Row {
  body: string
}

const parse = (row: Row): Job => JSON.parse(row.body) as Job

/** What users asked the owners to do, in the table `jobs`. */
export function sqliteJobStore(file: SqliteFile, changes: Changes): JobStore {
  const find = (key: SessionKey, id: string): Job | undefined => {
    const row = file.get<Row>('SELECT body FROM jobs WHERE session = ? AND id = ?', key, id)
    return row && parse(row)
  }

  const put = (doing: string, key: SessionKey, job: Job): Job => {
    file.run('UPDATE jobs SET body = ? WHERE session = ? AND id = ?', toBody(doing, 'job', job), key, job.id)
    return job
  }

  return {
    create: (key, job) =>
      file.write('create a job', () => {
        const stored = find(key, job.id)
        if (stored) return stored
        if (job.kind === 'import' && job.state === 'open') demandRoom(file, splitKey(key).tenant, 'imports')
        file.run(
          'INSERT INTO jobs (session, id, finished_at, body) VALUES (?, ?, ?, ?)',
          key,
          job.id,
          job.finishedAt ?? null,
          toBody('create a job', 'job', job),
        )
        changes.note('job', key)
        return job
      }),

    get: (key, id) => file.read('read a job', () => find(key, id)),

    open: (key) =>
      file.read('list the open jobs', () =>
        file
          .all<Row>('SELECT body FROM jobs WHERE session = ? AND finished_at IS NULL ORDER BY position', key)
          .map(parse),
      ),

    openKeys: () =>
      file.read('list the sessions with open jobs', () =>
        file
          .all<{ session: SessionKey }>('SELECT DISTINCT session FROM jobs WHERE finished_at IS NULL')
          .map((row) => row.session),
      ),

    begin: (key, id, by) =>
      file.write('begin a job', () => {
        const job = find(key, id)
        if (job?.state !== 'open') return undefined
        return put('begin a job', key, { ...job, latestTry: nextTry(job.latestTry, by) })
      }),

    interrupt: (key, id, by) =>
      file.write('interrupt a job', () => {
        const job = find(key, id)
        const latestTry = interruptedTry(job?.latestTry, by)
        if (job?.state === 'open' && latestTry) put('interrupt a job', key, { ...job, latestTry })
      }),

    finish: (key, id, { state, result, error, nowMs }) =>
      file.write('finish a job', () => {
        const job = find(key, id)
        if (job?.state !== 'open') return
        const ended: Job = {
          ...job,
          args: {},
          state,
          finishedAt: nowMs,
          ...(result && { result }),
          ...(error && { error }),
        }
        const sql = 'UPDATE jobs SET finished_at = ?, body = ? WHERE session = ? AND id = ?'
        file.run(sql, nowMs, toBody('finish a job', 'job', ended), key, id)
        if (Object.keys(job.args).length > 0) file.scrub()
      }),

    sweep: (ask) => sweepRows(file, 'jobs', 'finished_at', ask),

    watch: (changed) => changes.watch('job', (key) => changed(key as SessionKey)),
  }
}
