import type { TenantId } from '../ids.ts'
import type { Backup, BackupStore } from '../store/backup-store.ts'
import { fromText, toText } from './data-key-text.ts'
import { toPage } from './paging.ts'
import type { SqliteFile } from './sqlite-file.ts'

interface Row {
  id: string
  body: string
}

const COLUMNS = 'id, body'

function parse({ body }: Row): Backup {
  const backup = JSON.parse(body) as Backup
  return { ...backup, dataKeys: backup.dataKeys.map(fromText) }
}

const textOf = (backup: Backup): string =>
  JSON.stringify({ ...backup, dataKeys: backup.dataKeys.map(toText) })

/** What is kept of deleted sessions, in the table `backups`. */
export function sqliteBackupStore(file: SqliteFile): BackupStore {
  const find = (tenant: TenantId, id: string): Backup | undefined => {
    const row = file.get<Row>(`SELECT ${COLUMNS} FROM backups WHERE tenant = ? AND id = ?`, tenant, id)
    return row && parse(row)
  }

  return {
    create: (backup) =>
      file.write('keep a backup', () => {
        const stored = find(backup.tenant, backup.id)
        if (stored) return stored
        const { tenant, id, expiresAt } = backup
        const sql = 'INSERT INTO backups (tenant, id, expires_at, body) VALUES (?, ?, ?, ?)'
        file.run(sql, tenant, id, expiresAt, textOf(backup))
        return backup
      }),

    get: (tenant, id) => file.read('read a backup', () => find(tenant, id)),

    list: ({ tenant, after = '', limit }) =>
      file.read('list the backups', () => {
        const sql = `SELECT ${COLUMNS} FROM backups WHERE tenant = ? AND id > ? AND expires_at > 0 ORDER BY id LIMIT ?`
        return toPage(file.all<Row>(sql, tenant, after, limit + 1), limit, parse, ({ id }) => id)
      }),

    due: (nowMs, limit) =>
      file.read('list the backups that are over', () =>
        file
          .all<Row>(`SELECT ${COLUMNS} FROM backups WHERE expires_at <= ? LIMIT ?`, nowMs, limit)
          .map(parse),
      ),

    discard: (tenant, id) =>
      file.write('discard a backup', () => {
        const stored = find(tenant, id)
        if (!stored || stored.expiresAt === 0) return
        const discarded = { ...stored, dataKeys: [], expiresAt: 0 }
        const sql = 'UPDATE backups SET expires_at = 0, body = ? WHERE tenant = ? AND id = ?'
        file.run(sql, textOf(discarded), tenant, id)
        file.scrub()
      }),

    remove: (tenant, id) =>
      file.write('forget a backup', () => {
        if (file.run('DELETE FROM backups WHERE tenant = ? AND id = ?', tenant, id) > 0) file.scrub()
      }),
  }
}
