import { CodedError } from '../errors.ts'
import type { ApiKey, ApiKeyStore } from '../store/api-key-store.ts'
import { toBody } from './body.ts'
import type { SqliteFile } from './sqlite-file.ts'

interface Row {
  body: string
  last_used_at: number | null
  revoked_at: number | null
}

const COLUMNS = 'body, last_used_at, revoked_at'

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
        file.run(
          `INSERT INTO api_keys (sha256, tenant, created_at, last_used_at, revoked_at, body) VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT DO NOTHING`,
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
