import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { CodedError } from '../errors.ts'
import { parseRunnerId, type RunnerId } from '../ids.ts'
import type { RunnerRecord } from '../session.ts'
import type { RunnerStore } from '../store/runner-store.ts'
import type { Changes } from './changes.ts'
import { isLockHeld, takeLock, type ProcessLock } from './process-lock.ts'
import type { SqliteFile } from './sqlite-file.ts'

/** Only somebody who tests the lock can stand in the way, and that takes well under a millisecond. */
const LOCK_WAIT_MS = 1_000

interface Row {
  beat: number
  draining: number
  body: string
}

const toRecord = (row: Row): RunnerRecord => ({
  ...(JSON.parse(row.body) as RunnerRecord),
  draining: row.draining === 1,
})

/**
 * The leases, in the table `runners`, and beside each lease a lock that the operating system holds for the runner's
 * process: `locks/{runnerId}.lock`. A file that nobody holds proves that the process which renewed is gone.
 */
export function sqliteRunnerStore(
  file: SqliteFile,
  changes: Changes,
  options: { clock: Clock; folder: string },
): RunnerStore & { close(): void } {
  const { clock, folder } = options
  const held = new Map<RunnerId, ProcessLock>()

  const find = (id: RunnerId) => file.get<Row>('SELECT beat, draining, body FROM runners WHERE id = ?', id)
  const lockPath = (id: RunnerId): string => join(folder, `${parseRunnerId(id)}.lock`)

  /** Held before the record is written, so that a record never stands beside a lock that is still free. */
  const hold = (id: RunnerId): void => {
    if (held.has(id) && existsSync(lockPath(id))) return
    held.get(id)?.release()
    held.set(id, takeLock(lockPath(id), LOCK_WAIT_MS))
  }

  const letGo = (id: RunnerId): void => {
    rmSync(lockPath(id), { force: true })
    held.get(id)?.release()
    held.delete(id)
  }

  const put = (record: RunnerRecord, isNews: boolean): void => {
    file.run(
      'INSERT OR REPLACE INTO runners (id, beat, draining, body) VALUES (?, ?, ?, ?)',
      record.id,
      record.beat,
      record.draining ? 1 : 0,
      JSON.stringify(record),
    )
    if (isNews) changes.note('runner', record.id)
  }

  return {
    async renew(ask) {
      if (!held.has(ask.id) || ask.beat <= 1) hold(ask.id)
      return file.write('renew a lease', () => {
        const row = find(ask.id)
        if (!row && ask.beat > 1) {
          letGo(ask.id)
          throw new CodedError('lease_lost', `the record of the runner ${ask.id} was removed`)
        }
        const stored = row && toRecord(row)
        // An older renewal that comes late must not take the beat back.
        if (stored && stored.beat > ask.beat) return stored
        const draining = ask.draining || stored?.draining === true
        const record: RunnerRecord = { ...ask, draining, renewedAt: clock.nowMs() }
        put(record, stored?.draining !== draining)
        return record
      })
    },

    look: () =>
      file.read('look at the runners', () => ({
        nowMs: clock.nowMs(),
        records: file.all<Row>('SELECT beat, draining, body FROM runners ORDER BY id').map(toRecord),
      })),

    drain: (id) =>
      file.write('ask a runner to drain', () => {
        const row = find(id)
        if (!row) throw new CodedError('not_found', `there is no runner ${id}`)
        if (row.draining === 0) put({ ...toRecord(row), draining: true }, true)
      }),

    async remove(id) {
      await file.write('remove a runner', () => {
        if (file.run('DELETE FROM runners WHERE id = ?', id) > 0) changes.note('runner', id)
      })
      letGo(id)
    },

    provenDead: async (id) => isLockHeld(lockPath(id)) === false,

    watch: (changed) => changes.watch('runner', () => changed()),

    close: () => {
      for (const lock of held.values()) lock.release()
      held.clear()
    },
  }
}
