import { CodedError } from '../errors.ts'
import { keyOf, type SessionKey } from '../ids.ts'
import type { Removal, RemovalStore } from '../store/removal-store.ts'
import type { Changes } from './changes.ts'
import { fromText, toText } from './data-key-text.ts'
import { toPage } from './paging.ts'
import type { SqliteFile } from './sqlite-file.ts'

/** One page of a scan; a removal is as large as a session. */
const SCANNED_AT_ONCE = 500

interface Row {
  key: SessionKey
  body: string
}

const COLUMNS = 'key, body'

function parse({ body }: Row): Removal {
  const removal = JSON.parse(body) as Removal
  return { ...removal, session: { ...removal.session, dataKeys: removal.session.dataKeys.map(fromText) } }
}

const columnsOf = (removal: Removal) =>
  [
    removal.phase === 'unlinking' ? 1 : 0,
    removal.until ?? null,
    removal.tenantGone ? 1 : 0,
    JSON.stringify({
      ...removal,
      session: { ...removal.session, dataKeys: removal.session.dataKeys.map(toText) },
    }),
  ] as const

export function findRemoval(file: SqliteFile, key: SessionKey): Removal | undefined {
  const row = file.get<Row>(`SELECT ${COLUMNS} FROM removals WHERE key = ?`, key)
  return row && parse(row)
}

/** Only inside a task of `write`, with the deletion of the session's record. */
export function addRemoval(file: SqliteFile, removal: Removal): void {
  file.run(
    'INSERT OR REPLACE INTO removals (open, until, hidden, body, key, tenant) VALUES (?, ?, ?, ?, ?, ?)',
    ...columnsOf(removal),
    keyOf(removal.session),
    removal.session.tenant,
  )
}

/** What happens to deleted sessions, in the table `removals`. */
export function sqliteRemovalStore(file: SqliteFile, changes: Changes): RemovalStore {
  return {
    get: (key) => file.read('read a removal', () => findRemoval(file, key)),

    list: ({ tenant, name, after = '', limit }) =>
      file.read('list the removals', () => {
        const sql = `SELECT ${COLUMNS} FROM removals WHERE tenant = ?1 AND hidden = 0 AND key > ?2
          AND (?3 IS NULL OR key = ?3 OR substr(key, 1, length(?3) + 1) = ?3 || '~') ORDER BY key LIMIT ?4`
        const rows = file.all<Row>(sql, tenant, after, name ?? null, limit + 1)
        return toPage(rows, limit, parse, ({ key }) => key)
      }),

    async *scan() {
      let page: readonly Row[] = []
      do {
        const after = page.at(-1)?.key ?? ''
        page = await file.read('scan the removals', () =>
          file.all<Row>(
            `SELECT ${COLUMNS} FROM removals WHERE open = 1 AND key > ? ORDER BY key LIMIT ?`,
            after,
            SCANNED_AT_ONCE,
          ),
        )
        for (const row of page) yield parse(row)
      } while (page.length > 0)
    },

    due: (nowMs, limit) =>
      file.read('list the removals that are over', () =>
        file.all<Row>(`SELECT ${COLUMNS} FROM removals WHERE until <= ? LIMIT ?`, nowMs, limit).map(parse),
      ),

    change: (key, change) =>
      file.write('change a removal', () => {
        const stored = findRemoval(file, key)
        if (!stored) throw new CodedError('not_found', `there is no removal of ${key}`)
        const next = change(stored)
        if (!next) return stored
        file.run(
          'UPDATE removals SET open = ?, until = ?, hidden = ?, body = ? WHERE key = ?',
          ...columnsOf(next),
          key,
        )
        if (next.session.dataKeys.length < stored.session.dataKeys.length) file.scrub()
        changes.note('removal', key)
        return next
      }),

    remove: (key) =>
      file.write('forget a removal', () => {
        if (file.run('DELETE FROM removals WHERE key = ?', key) === 0) return
        file.scrub()
        changes.note('removal', key)
      }),

    watch: (changed) => changes.watch('removal', (key) => changed(key as SessionKey)),
  }
}
