import type { SessionId, SessionKey, TenantId } from '../ids.ts'
import type { DataKey, Session, Status, Want } from '../session.ts'
import type { SqliteFile } from './sqlite-file.ts'

/** A row of the table `sessions`; its data keys are rows of their own, so that they can be destroyed one by one. */
export interface SessionRow {
  key: SessionKey
  tenant: TenantId
  id: SessionId
  generation: number
  want: string
  nonces: string
  status_epoch: number | null
  status: string | null
  created_at: number
  updated_at: number
}

export const findSession = (file: SqliteFile, key: SessionKey): SessionRow | undefined =>
  file.get<SessionRow>('SELECT * FROM sessions WHERE key = ?', key)

export const wantOf = (row: SessionRow): Want => ({
  ...(JSON.parse(row.want) as Omit<Want, 'generation'>),
  generation: row.generation,
})

export const toSession = (file: SqliteFile, row: SessionRow): Session => ({
  tenant: row.tenant,
  id: row.id,
  want: wantOf(row),
  ...(row.status !== null && { status: JSON.parse(row.status) as Status }),
  dataKeys: dataKeysOf(file, row.key),
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})

/** Oldest first. */
export const dataKeysOf = (file: SqliteFile, key: SessionKey): DataKey[] =>
  file
    .all<{ id: string; wrapped: Uint8Array; key_version: string; created_at: number }>(
      'SELECT id, wrapped, key_version, created_at FROM data_keys WHERE session = ? ORDER BY position',
      key,
    )
    .map((row) => ({
      id: row.id,
      wrapped: row.wrapped,
      keyVersion: row.key_version,
      createdAt: row.created_at,
    }))
