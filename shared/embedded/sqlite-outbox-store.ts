import type { SessionKey } from '../ids.ts'
import {
  OUTBOX_STATES,
  type OutboxMessage,
  type OutboxState,
  type OutboxStore,
} from '../store/outbox-store.ts'
import type { Changes } from './changes.ts'
import { parsePosition, sweepRows, toPage } from './paging.ts'
import { toBody } from './body.ts'
import type { SqliteFile } from './sqlite-file.ts'

interface Row {
  position: number
  body: string
}

const parse = (row: Row): OutboxMessage => JSON.parse(row.body) as OutboxMessage
const rank = (state: OutboxState): number => OUTBOX_STATES.indexOf(state)

/** `failed` is an end that only a message which has not arrived yet can come to. */
const isAhead = (to: OutboxState, from: OutboxState): boolean =>
  to === 'failed' ? rank(from) <= rank('sent') : rank(to) > rank(from)

/** The messages to send, in the table `outbox`; their order is the order in which they were accepted. */
export function sqliteOutboxStore(file: SqliteFile, changes: Changes): OutboxStore {
  const find = (key: SessionKey, id: string): OutboxMessage | undefined => {
    const row = file.get<Row>('SELECT position, body FROM outbox WHERE session = ? AND id = ?', key, id)
    return row && parse(row)
  }

  return {
    enqueue: (key, message) =>
      file.write('enqueue a message', () => {
        const stored = find(key, message.id)
        if (stored) return stored
        file.run(
          'INSERT INTO outbox (session, id, state, created_at, body) VALUES (?, ?, ?, ?, ?)',
          key,
          message.id,
          rank(message.state),
          message.createdAt,
          toBody('enqueue a message', 'message', message),
        )
        changes.note('outbox', key)
        return message
      }),

    get: (key, id) => file.read('read a message', () => find(key, id)),

    list: (key, { after, limit }) =>
      file.read('list the messages', () => {
        const sql =
          'SELECT position, body FROM outbox WHERE session = ? AND position < ? ORDER BY position DESC LIMIT ?'
        const below = after === undefined ? Number.MAX_SAFE_INTEGER : parsePosition(after)
        return toPage(file.all<Row>(sql, key, below, limit + 1), limit, parse, (row) => `${row.position}`)
      }),

    pending: (key, limit) =>
      file.read('list the messages to send', () =>
        file
          .all<Row>(
            'SELECT position, body FROM outbox WHERE session = ? AND state < 2 ORDER BY position LIMIT ?',
            key,
            limit,
          )
          .map(parse),
      ),

    waiting: (tenant) =>
      file.read('count the messages to send', () => {
        // The keys of a tenant's sessions lie between its name with the separator and the same with the character after it.
        const row = file.get<{ messages: number; bytes: number }>(
          `SELECT count(*) AS messages, coalesce(sum(octet_length(body)), 0) AS bytes
           FROM outbox WHERE state < 2 AND session >= ? AND session < ?`,
          `${tenant}~`,
          `${tenant}\x7f`,
        )
        return { messages: row?.messages ?? 0, bytes: row?.bytes ?? 0 }
      }),

    advance: (key, id, { state, error, nowMs }) =>
      file.write('advance a message', () => {
        const stored = find(key, id)
        if (!stored || !isAhead(state, stored.state)) return
        const message: OutboxMessage = { ...stored, state, updatedAt: nowMs, ...(error && { error }) }
        file.run(
          'UPDATE outbox SET state = ?, body = ? WHERE session = ? AND id = ?',
          rank(state),
          toBody('advance a message', 'message', message),
          key,
          id,
        )
      }),

    sweep: (ask) => sweepRows(file, 'outbox', 'created_at', ask),

    watch: (changed) => changes.watch('outbox', (key) => changed(key as SessionKey)),
  }
}
