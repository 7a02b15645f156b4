import { CodedError } from '../errors.ts'
import type { RunnerId, SessionKey } from '../ids.ts'
import type { Owner, Witness } from '../session.ts'
import type { OwnerStore } from '../store/owner-store.ts'
import type { Changes } from './changes.ts'
import type { SqliteFile } from './sqlite-file.ts'

/** Rows of one page of a scan: they are small, so a page keeps the event loop for about 2 ms. */
const SCANNED_AT_ONCE = 1_000

interface Row {
  key: SessionKey
  runner_id: RunnerId | null
  epoch: number
  since: number
  nonce: string
  witness: string | null
}

const toOwner = (row: Row): Owner => ({
  ...(row.runner_id !== null && { runnerId: row.runner_id }),
  epoch: row.epoch,
  since: row.since,
  nonce: row.nonce,
  ...(row.witness !== null && { witness: JSON.parse(row.witness) as Witness }),
})

/** Who may open which socket, in the table `owners`. */
export function sqliteOwnerStore(file: SqliteFile, changes: Changes): OwnerStore {
  const find = (key: SessionKey) => file.get<Row>('SELECT * FROM owners WHERE key = ?', key)

  const put = (key: SessionKey, owner: Owner): void => {
    file.run(
      'INSERT OR REPLACE INTO owners (key, runner_id, epoch, since, nonce, witness) VALUES (?, ?, ?, ?, ?, ?)',
      key,
      owner.runnerId ?? null,
      owner.epoch,
      owner.since,
      owner.nonce,
      owner.witness ? JSON.stringify(owner.witness) : null,
    )
    changes.note('owner', key)
  }

  return {
    get: (key) =>
      file.read('read an owner', () => {
        const row = find(key)
        return row && toOwner(row)
      }),

    getAll: (keys) =>
      file.read('read owners', () =>
        keys.map((key) => {
          const row = find(key)
          return row && toOwner(row)
        }),
      ),

    async *scan() {
      let page: readonly Row[] = []
      do {
        const after = page.at(-1)?.key ?? ''
        page = await file.read('scan the owners', () =>
          file.all<Row>('SELECT * FROM owners WHERE key > ? ORDER BY key LIMIT ?', after, SCANNED_AT_ONCE),
        )
        for (const row of page) yield [row.key, toOwner(row)] as const
      } while (page.length > 0)
    },

    claim: ({ key, runnerId, expectEpoch, nonce, nowMs }) =>
      file.write('claim a session', () => {
        const stored = find(key)
        const { witness } = stored ? toOwner(stored) : {}
        const claimed: Owner = {
          runnerId,
          epoch: expectEpoch + 1,
          since: nowMs,
          nonce,
          ...(witness && { witness }),
        }
        const isOurs =
          stored?.nonce === nonce && stored.runner_id === runnerId && stored.epoch === claimed.epoch
        if (isOurs) return toOwner(stored)
        if ((stored?.epoch ?? 0) !== expectEpoch) {
          throw new CodedError('owner_changed', `${key} is at epoch ${stored?.epoch ?? 0}`)
        }
        put(key, claimed)
        return claimed
      }),

    release: ({ key, runnerId, epoch, nonce, nowMs, witness }) =>
      file.write('release a session', () => {
        const stored = find(key)
        // Nothing is left to release when the session was deleted, or when this is the repeat of a lost answer.
        if (!stored || (stored.epoch === epoch && stored.runner_id === null)) return
        if (stored.epoch !== epoch || stored.runner_id !== runnerId) {
          throw new CodedError('fenced', `${key} is owned under epoch ${stored.epoch}`)
        }
        const noted = witness ?? toOwner(stored).witness
        put(key, { epoch, since: nowMs, nonce, ...(noted && { witness: noted }) })
      }),

    remove: (key) =>
      file.write('forget an owner', () => {
        if (file.run('DELETE FROM owners WHERE key = ?', key) > 0) changes.note('owner', key)
      }),

    watch: (changed) => changes.watch('owner', (key) => changed(key as SessionKey)),
  }
}
