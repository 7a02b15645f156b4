import { CodedError } from '../errors.ts'
import type { ApiKey, ApiKeyStore } from '../store/api-key-store.ts'
import { toBody } from './body.ts'
import type { SqliteFile } from './sqlite-file.ts'
import { demandRoom } from './sqlite-tenant-store.ts'

interface Row {
  body: string
  last_used_at: number | null
  revoked_at: number | null
}

const COLUMNS = 'body, last_used_at, revoked_at'
/** As it is indexed. */
const ID = `json_extract(body, '$.id')`

const parse = (row: Row): ApiKey => ({
  ...(JSON.parse(row.body) as ApiKey),
  ...(row.last_used_at !== null && { lastUsedAt: row.last_used_at }),
  ...(row.revoked_at !== null && { revokedAt: row.revoked_at }),
})

/** The hashes of the API keys, in the table `api_keys`. */
export function sqliteApiKeyStore(file: SqliteFile): ApiKeyStore {
  return {
    create: (key) =>
      file.write('create an API key', () => {
        const { lastUsedAt = null, revokedAt = null, ...body } = key
        if (file.get('SELECT 1 FROM api_keys WHERE sha256 = ?', key.sha256)) return
        // No unique index: a database of an older version may hold two keys of one id.
        if (file.get(`SELECT 1 FROM api_keys WHERE ${ID} = ?`, key.id))
          throw new CodedError('exists', `a key with the id ${key.id} exists`)
        if (key.tenant !== undefined) demandRoom(file, key.tenant, 'keys')
        file.run(
          'INSERT INTO api_keys (sha256, tenant, created_at, last_used_at, revoked_at, body) VALUES (?, ?, ?, ?, ?, ?)',
          key.sha256,
          key.tenant ?? null,
          key.createdAt,
          lastUsedAt,
          revokedAt,
          toBody('create an API key', 'key', body),
        )
      }),

    find: (sha256) =>
      file.read('find an API key', () => {
        const row = file.get<Row>(`SELECT ${COLUMNS} FROM api_keys WHERE sha256 = ?`, sha256)
        return row && parse(row)
      }),

    list: (tenant) =>
      file.read('list the API keys', () =>
        file
          .all<Row>(
            `SELECT ${COLUMNS} FROM api_keys WHERE ?1 IS NULL OR tenant = ?1 ORDER BY created_at, sha256`,
            tenant ?? null,
          )
          .map(parse),
      ),

    revoke: (sha256, nowMs) =>
      file.write('revoke an API key', () => {
        const sql = 'UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE sha256 = ?'
        if (file.run(sql, nowMs, sha256) === 0) throw new CodedError('not_found', 'there is no such API key')
      }),

    forget: (sha256) =>
      file.write('forget an API key', () => {
        file.run('DELETE FROM api_keys WHERE sha256 = ? AND revoked_at IS NOT NULL', sha256)
      }),

    touch: (sha256, nowMs) =>
      file.write('note the use of an API key', () => {
        file.run(
          'UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE sha256 = ?',
          nowMs,
          sha256,
        )
      }),
  }
}
