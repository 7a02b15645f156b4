import { CodedError } from '../errors.ts'
import type { JournalEntry, JournalStore } from '../store/journal-store.ts'
import type { SqliteFile } from './sqlite-file.ts'

/** What one `read` answers: parsing it keeps the event loop for a few milliseconds, and memory stays bounded. */
const READ_BYTES_MAX = 2 << 20
/** Entries that one transaction of `truncate` removes, so that appends wait for it no longer than for each other. */
const TRUNCATED_AT_ONCE = 500
/** What an entry takes in the log beside its sealed bytes: keys, index and page overhead. */
const ENTRY_BYTES = 256

/** The journal of every session, in one table of a database of its own. */
export function sqliteJournalStore(file: SqliteFile): JournalStore {
  return {
    append: (key, { seq, epoch, nonce, sealed }) =>
      file.write(
        'append an entry to the journal',
        () => {
          const added = file.run(
            'INSERT INTO journal (session, seq, epoch, nonce, sealed) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
            key,
            seq,
            epoch,
            nonce,
            sealed,
          )
          if (added === 0) throw new CodedError('seq_taken', `the journal of ${key} has an entry ${seq}`)
        },
        sealed.length + ENTRY_BYTES,
      ),

    read: (key, fromSeq) =>
      file.read('read the journal', () => {
        const entries: JournalEntry[] = []
        let bytes = 0
        const rows = file.each<JournalEntry>(
          'SELECT seq, epoch, nonce, sealed FROM journal WHERE session = ? AND seq >= ? ORDER BY seq',
          key,
          fromSeq,
        )
        for (const { seq, epoch, nonce, sealed } of rows) {
          entries.push({ seq, epoch, nonce, sealed })
          bytes += sealed.length
          if (bytes >= READ_BYTES_MAX) break
        }
        return entries
      }),

    head: (key) =>
      file.read('find the head of the journal', () => {
        const row = file.get<Omit<JournalEntry, 'sealed'>>(
          'SELECT seq, epoch, nonce FROM journal WHERE session = ? ORDER BY seq DESC LIMIT 1',
          key,
        )
        return row && { ...row }
      }),

    async truncate(key, throughSeq) {
      const sql = `DELETE FROM journal WHERE position IN (
        SELECT position FROM journal WHERE session = ? AND seq <= ? ORDER BY seq LIMIT ${TRUNCATED_AT_ONCE})`
      let removed = 0
      do removed = await file.write('truncate the journal', () => file.run(sql, key, throughSeq))
      while (removed === TRUNCATED_AT_ONCE)
    },
  }
}
