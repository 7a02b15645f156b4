import type { SessionKey } from '../ids.ts'
import { badCursor } from '../store/cursor.ts'
import type { SqliteFile } from './sqlite-file.ts'

/** One transaction removes this many rows at most, so that a big sweep keeps nobody waiting. */
const SWEPT_AT_ONCE = 500

/** A cursor that is a position in a table. @throws CodedError `invalid_field` for what none of our pages gave */
export function parsePosition(after: string): number {
  if (!/^\d{1,15}$/.test(after)) throw badCursor()
  return Number(after)
}

/** Cuts a list that was asked for with one row more than `limit`: the row too many says that there is a next page. */
export function toPage<Row, T>(
  rows: readonly Row[],
  limit: number,
  item: (row: Row) => T,
  cursor: (row: Row) => string,
): { items: T[]; next?: string } {
  const kept = rows.slice(0, limit)
  const last = kept.at(-1)
  return { items: kept.map(item), ...(rows.length > limit && last && { next: cursor(last) }) }
}

/** Removes the rows of a session, those older than a time by the column `age`, or those that are both; never all. */
export async function sweepRows(
  file: SqliteFile,
  table: 'events' | 'outbox' | 'feed' | 'jobs',
  age: 'at' | 'created_at' | 'added_at' | 'finished_at',
  ask: { key?: SessionKey; olderThanMs?: number },
): Promise<number> {
  const conditions: [sql: string, value: string | number][] = []
  if (ask.key !== undefined) conditions.push(['session = ?', ask.key])
  if (ask.olderThanMs !== undefined) conditions.push([`${age} < ?`, ask.olderThanMs])
  if (conditions.length === 0) return 0
  const where = conditions.map(([sql]) => sql).join(' AND ')
  const sql = `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE ${where} LIMIT ${SWEPT_AT_ONCE})`
  const values = conditions.map(([, value]) => value)
  let swept = 0
  for (;;) {
    const removed = await file.write(`sweep ${table}`, () => file.run(sql, ...values))
    swept += removed
    if (removed < SWEPT_AT_ONCE) return swept
  }
}
