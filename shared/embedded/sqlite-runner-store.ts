import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { CodedError } from '../errors.ts'
import { parseRunnerId, type RunnerId } from '../ids.ts'
import type { RunnerRecord } from '../session.ts'
import type { RunnerStore } from '../store/runner-store.ts'
import type { Changes } from './changes.ts'
import { isLockHeld, takeLock, type ProcessLock } from './process-lock.ts'
import { toBody } from './body.ts'
import type { SqliteFile } from './sqlite-file.ts'

/** Only somebody who tests the lock can stand in the way, and that takes well under a millisecond. */
const LOCK_WAIT_MS = 1_000

interface Row {
  beat: number
  draining: number
  body: string
}

/** The column says whether somebody asked it to drain, the body what the runner said. */
const toRecord = (row: Row): RunnerRecord => {
  const said = JSON.parse(row.body) as RunnerRecord
  return row.draining === 1 ? { ...said, draining: true, drainAsked: true } : said
}

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

  const ask = (id: RunnerId, drain: boolean): void => {
    const asked = drain ? 1 : 0
    const row = find(id)
    if (!row) throw new CodedError('not_found', `there is no runner ${id}`)
    if (row.draining === asked) return
    file.run('UPDATE runners SET draining = ? WHERE id = ?', asked, id)
    changes.note('runner', id)
  }

  return {
    async renew(renewal) {
      const { id, beat } = renewal
      if (!held.has(id) || beat <= 1) hold(id)
      return file.write('renew a lease', () => {
        const row = find(id)
        if (!row && beat > 1) {
          letGo(id)
          throw new CodedError('lease_lost', `the record of the runner ${id} was removed`)
        }
        const stored = row && toRecord(row)
        // An older renewal that comes late must not take the beat back.
        if (stored && stored.beat > beat) return stored
        const draining = row?.draining ?? 0
        const body = toBody('renew a lease', 'record', { ...renewal, renewedAt: clock.nowMs() })
        file.run(
          'INSERT OR REPLACE INTO runners (id, beat, draining, body) VALUES (?, ?, ?, ?)',
          id,
          beat,
          draining,
          body,
        )
        const record = toRecord({ beat, draining, body })
        if (stored?.draining !== record.draining) changes.note('runner', id)
        return record
      })
    },

    look: () =>
      file.read('look at the runners', () => ({
        nowMs: clock.nowMs(),
        records: file.all<Row>('SELECT beat, draining, body FROM runners ORDER BY id').map(toRecord),
      })),

    drain: (id) => file.write('ask a runner to drain', () => ask(id, true)),

    resume: (id) => file.write('take a drain back', () => ask(id, false)),

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
