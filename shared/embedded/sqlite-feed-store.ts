import { hasCode } from '../errors.ts'
import type { SessionKey } from '../ids.ts'
import type { FeedItem, FeedStore } from '../store/feed-store.ts'
import { mustAllBeStorable, RefusedItems, storedBytes } from '../store/storable.ts'
import { parsePosition, sweepRows } from './paging.ts'
import { storeError } from './sqlite-error.ts'
import type { SqliteFile } from './sqlite-file.ts'

interface Row {
  position: number
  body: string
}

/** The messages that came in, in the table `feed`; a cursor is the position of a row, which only ever grows. */
export function sqliteFeedStore(file: SqliteFile): FeedStore {
  const insert = (key: SessionKey, item: FeedItem, nowMs: number): void => {
    file.run(
      'INSERT INTO feed (session, sender, id, added_at, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
      key,
      item.from,
      item.id,
      nowMs,
      JSON.stringify(item),
    )
  }

  return {
    async add(key, items, nowMs) {
      const doing = 'add to the feed'
      mustAllBeStorable(doing, items)
      const bytes = items.reduce((sum, item) => sum + storedBytes(item), 0)
      const insertAll = () => {
        for (const [index, item] of items.entries()) {
          try {
            insert(key, item, nowMs)
          } catch (thrown) {
            const error = storeError(doing, thrown)
            throw hasCode(error, 'store_refused') ? new RefusedItems(error.message, [index], thrown) : thrown
          }
        }
      }
      await file.write(doing, insertAll, bytes)
    },

    list: (key, { after, limit }) =>
      file.read('read the feed', () => {
        const rows = file.all<Row>(
          'SELECT position, body FROM feed WHERE session = ? AND position > ? ORDER BY position LIMIT ?',
          key,
          after === undefined ? 0 : parsePosition(after),
          limit,
        )
        const items = rows.map((row) => ({
          ...(JSON.parse(row.body) as FeedItem),
          cursor: `${row.position}`,
        }))
        const next = items.at(-1)?.cursor ?? after
        return { items, ...(next !== undefined && { next }) }
      }),

    sweep: (ask) => sweepRows(file, 'feed', 'added_at', ask),
  }
}
