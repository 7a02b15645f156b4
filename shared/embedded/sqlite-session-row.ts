import {
  nameOfKey,
  splitKey,
  type LifeId,
  type SessionId,
  type SessionKey,
  type SessionName,
  type TenantId,
} from '../ids.ts'
import type { DataKey, Session, Status, Want } from '../session.ts'
import type { SqliteFile } from './sqlite-file.ts'

/** A row of the table `sessions`; its data keys are rows of their own, so that they can be destroyed one by one. */
export interface SessionRow {
  /** The name: there is one row of it, whatever its life. */
  key: SessionName
  tenant: TenantId
  id: SessionId
  generation: number
  want: string
  nonces: string
  status_epoch: number | null
  status: string | null
  created_at: number
  updated_at: number
  life: LifeId | null
}

export const findSession = (file: SqliteFile, name: SessionName): SessionRow | undefined =>
  file.get<SessionRow>('SELECT * FROM sessions WHERE key = ?', name)

/** Only where the name still has that life. */
export function findLife(file: SqliteFile, key: SessionKey): SessionRow | undefined {
  const { life = null } = splitKey(key)
  const row = findSession(file, nameOfKey(key))
  return row?.life === life ? row : undefined
}

export const wantOf = (row: SessionRow): Want => ({
  ...(JSON.parse(row.want) as Omit<Want, 'generation'>),
  generation: row.generation,
})

const build = (row: SessionRow, dataKeys: readonly DataKey[]): Session => ({
  tenant: row.tenant,
  id: row.id,
  ...(row.life !== null && { life: row.life }),
  want: wantOf(row),
  ...(row.status !== null && { status: JSON.parse(row.status) as Status }),
  dataKeys,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})

export const toSession = (file: SqliteFile, row: SessionRow): Session => build(row, dataKeysOf(file, row.key))

/** The sessions of a page, whose rows are ascending by key; their data keys come in one query instead of one each. */
export function toSessions(file: SqliteFile, rows: readonly SessionRow[]): Session[] {
  const [first, last] = [rows.at(0), rows.at(-1)]
  if (!first || !last) return []
  const keys = file.all<DataKeyRow & { session: SessionName }>(
    `SELECT session, ${KEY_COLUMNS} FROM data_keys WHERE session BETWEEN ? AND ? ORDER BY position`,
    first.key,
    last.key,
  )
  const bySession = Map.groupBy(keys, ({ session }) => session)
  return rows.map((row) => build(row, bySession.get(row.key)?.map(toDataKey) ?? []))
}

interface DataKeyRow {
  id: string
  wrapped: Uint8Array
  key_version: string
  created_at: number
}

const KEY_COLUMNS = 'id, wrapped, key_version, created_at'

const toDataKey = (row: DataKeyRow): DataKey => ({
  id: row.id,
  wrapped: row.wrapped,
  keyVersion: row.key_version,
  createdAt: row.created_at,
})

/** Oldest first. */
export const dataKeysOf = (file: SqliteFile, name: SessionName): DataKey[] =>
  file
    .all<DataKeyRow>(`SELECT ${KEY_COLUMNS} FROM data_keys WHERE session = ? ORDER BY position`, name)
    .map(toDataKey)
