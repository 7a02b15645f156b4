import type { SnapshotRecord, SnapshotStore } from '../store/snapshot-store.ts'
import { mustBeStorable } from '../store/storable.ts'
import { toBody } from './body.ts'
import type { SqliteFile } from './sqlite-file.ts'

/** The index of the snapshots, in the table `snapshots` of the records: it must not wait behind the journal. */
export function sqliteSnapshotStore(file: SqliteFile): SnapshotStore {
  return {
    record: (key, { quarantined, ...snapshot }) =>
      file.write('record a snapshot', () => {
        file.run(
          `INSERT INTO snapshots (session, id, seq, at, quarantined, body) VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT DO NOTHING`,
          key,
          snapshot.id,
          snapshot.seq,
          snapshot.at,
          quarantined ?? null,
          toBody('record a snapshot', 'snapshot', snapshot),
        )
      }),

    list: (key) =>
      file.read('list the snapshots', () =>
        file
          .all<{ body: string; quarantined: string | null }>(
            'SELECT body, quarantined FROM snapshots WHERE session = ? ORDER BY seq DESC, at DESC, id DESC',
            key,
          )
          .map((row) => ({
            ...(JSON.parse(row.body) as SnapshotRecord),
            ...(row.quarantined !== null && { quarantined: row.quarantined }),
          })),
      ),

    quarantine: (key, id, reason) =>
      file.write('quarantine a snapshot', () => {
        mustBeStorable('quarantine a snapshot', { reason })
        file.run('UPDATE snapshots SET quarantined = ? WHERE session = ? AND id = ?', reason, key, id)
      }),

    remove: (key, id) =>
      file.write('remove the record of a snapshot', () => {
        file.run('DELETE FROM snapshots WHERE session = ? AND id = ?', key, id)
      }),
  }
}
