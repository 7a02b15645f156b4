import type { FeedItem, FeedStore } from '../store/feed-store.ts'
import { parsePosition, sweepRows } from './paging.ts'
import type { SqliteFile } from './sqlite-file.ts'

interface Row {
  position: number
  body: string
}

/** The messages that came in, in the table `feed`; a cursor is the position of a row, which only ever grows. */
export function sqliteFeedStore(file: SqliteFile): FeedStore {
  return {
    add: (key, items, nowMs) =>
      file.write('add to the feed', () => {
        for (const item of items) {
          file.run(
            'INSERT INTO feed (session, sender, id, added_at, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
            key,
            item.from,
            item.id,
            nowMs,
            JSON.stringify(item),
          )
        }
      }),

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
