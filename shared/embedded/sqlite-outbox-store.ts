import type { SessionKey } from '../ids.ts'
import { mustBeStorable } from '../store/storable.ts'
import {
  isOpen,
  OUTBOX_STATES,
  readOutboxMessage,
  type OutboxMessage,
  type WaitingMessage,
} from '../store/outbox-message.ts'
import { moved } from '../store/outbox-moves.ts'
import type { OutboxStore } from '../store/outbox-store.ts'
import type { Changes } from './changes.ts'
import { parsePosition, sweepRows, toPage } from './paging.ts'
import type { SqliteFile } from './sqlite-file.ts'

interface Row {
  position: number
  body: string
  request: Uint8Array | null
  prepared: Uint8Array | null
}

const COLUMNS = 'position, body, request, prepared'
/** What waits has the first two states; the index over it knows no other number. */
const WAITS = 'state < 2'
/** Text that sorts as the numbers do; a position has 15 digits at most (`parsePosition`). */
const placeOf = (position: number): string => String(position).padStart(15, '0')

const parse = ({ body, request, prepared }: Row): OutboxMessage => ({
  ...readOutboxMessage(JSON.parse(body) as object),
  ...(request && { request }),
  ...(prepared && { prepared }),
})

const parseWaiting = (row: Row): WaitingMessage => ({ ...parse(row), place: placeOf(row.position) })

/** What the columns hold. @throws CodedError `store_refused` */
function columnsOf(doing: string, message: OutboxMessage) {
  mustBeStorable(doing, { message })
  const { request, prepared, ...body } = message
  const state = OUTBOX_STATES.indexOf(message.state)
  return [state, JSON.stringify(body), request ?? null, prepared ?? null] as const
}

/** The messages to send, in the table `outbox`; their order is the order in which they were accepted. */
export function sqliteOutboxStore(file: SqliteFile, changes: Changes): OutboxStore {
  const find = (key: SessionKey, id: string): OutboxMessage | undefined => {
    const row = file.get<Row>(`SELECT ${COLUMNS} FROM outbox WHERE session = ? AND id = ?`, key, id)
    return row && parse(row)
  }

  return {
    enqueue: (key, message) =>
      file.write('enqueue a message', () => {
        const stored = find(key, message.id)
        if (stored) return stored
        file.run(
          `INSERT INTO outbox (session, id, created_at, state, body, request, prepared) VALUES (?, ?, ?, ?, ?, ?, ?)`,
          key,
          message.id,
          message.acceptedAt,
          ...columnsOf('enqueue a message', message),
        )
        if (isOpen(message.state)) changes.note('outbox', key)
        return message
      }),

    get: (key, id) => file.read('read a message', () => find(key, id)),

    list: (key, { after, limit }) =>
      file.read('list the messages', () => {
        const sql = `SELECT ${COLUMNS} FROM outbox WHERE session = ? AND position < ? ORDER BY position DESC LIMIT ?`
        const below = after === undefined ? Number.MAX_SAFE_INTEGER : parsePosition(after)
        return toPage(file.all<Row>(sql, key, below, limit + 1), limit, parse, (row) => `${row.position}`)
      }),

    pending: (key, { after, limit }) =>
      file.read('list the messages to send', () => {
        const sql = `SELECT ${COLUMNS} FROM outbox WHERE session = ? AND ${WAITS} AND position > ? ORDER BY position LIMIT ?`
        return file
          .all<Row>(sql, key, after === undefined ? 0 : parsePosition(after), limit)
          .map(parseWaiting)
      }),

    waiting: (tenant) =>
      file.read('count the messages to send', () => {
        // The keys of a tenant's sessions lie between its name with the separator and the same with the character after it.
        const row = file.get<{ messages: number; bytes: number }>(
          `SELECT count(*) AS messages,
             coalesce(sum(octet_length(body) + coalesce(octet_length(request), 0)), 0) AS bytes
           FROM outbox WHERE ${WAITS} AND session >= ? AND session < ?`,
          `${tenant}~`,
          `${tenant}\x7f`,
        )
        return { messages: row?.messages ?? 0, bytes: row?.bytes ?? 0 }
      }),

    move: (key, id, move) =>
      file.write('move a message', () => {
        const stored = find(key, id)
        if (!stored) return undefined
        const message = moved(stored, move)
        if (message === stored) return stored
        file.run(
          'UPDATE outbox SET state = ?, body = ?, request = ?, prepared = ? WHERE session = ? AND id = ?',
          ...columnsOf('move a message', message),
          key,
          id,
        )
        return message
      }),

    sweep: (ask) => sweepRows(file, 'outbox', 'created_at', ask),

    watch: (changed) => changes.watch('outbox', (key) => changed(key as SessionKey)),
  }
}
