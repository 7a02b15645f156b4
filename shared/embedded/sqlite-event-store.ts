import { splitKey, type SessionKey } from '../ids.ts'
import { parseEventCursor } from '../store/cursor.ts'
import type { AuditEvent, EventStore } from '../store/event-store.ts'
import { sweepRows, toPage } from './paging.ts'
import { toBody } from './body.ts'
import type { SqliteFile } from './sqlite-file.ts'

interface Row {
  session: SessionKey
  id: string
  body: string
}

const parse = (row: Row): AuditEvent => JSON.parse(row.body) as AuditEvent

/** Sorts after every id: ids are printable ASCII. */
const END = '\u{7f}'

/** The audit trail, in the table `events`. */
export function sqliteEventStore(file: SqliteFile): EventStore {
  return {
    append: (key, event) =>
      file.write('append to the audit trail', () => {
        file.run(
          'INSERT INTO events (session, id, tenant, at, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
          key,
          event.id,
          splitKey(key).tenant,
          event.at,
          toBody('append to the audit trail', 'event', event),
        )
      }),

    list: (key, { after, limit }) =>
      file.read('list the audit trail', () => {
        const below = after === undefined ? END : parseEventCursor(after)
        const sql =
          'SELECT session, id, body FROM events WHERE session = ? AND id < ? ORDER BY id DESC LIMIT ?'
        return toPage(file.all<Row>(sql, key, below, limit + 1), limit, parse, (row) => row.id)
      }),

    since: ({ tenant, afterId, limit }) =>
      file.read('follow the audit trail', () => {
        const rows =
          tenant === undefined
            ? file.all<Row>(
                'SELECT session, id, body FROM events WHERE id > ? ORDER BY id, session LIMIT ?',
                afterId,
                limit,
              )
            : file.all<Row>(
                'SELECT session, id, body FROM events WHERE tenant = ? AND id > ? ORDER BY id, session LIMIT ?',
                tenant,
                afterId,
                limit,
              )
        return rows.map((row) => ({ ...parse(row), key: row.session }))
      }),

    sweep: (ask) => sweepRows(file, 'events', 'at', ask),
  }
}
