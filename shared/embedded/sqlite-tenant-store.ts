import { CodedError } from '../errors.ts'
import type { TenantId } from '../ids.ts'
import { allowedOf, limitReached } from '../quotas.ts'
import { newTenantSalt } from '../sealing/content-secret.ts'
import type { Tenant, TenantStore, TenantUse } from '../store/tenant-store.ts'
import { toBody } from './body.ts'
import type { SqliteFile } from './sqlite-file.ts'

interface Body extends Tenant {
  /** Base64; absent until it is first asked for. */
  salt?: string
}

const parse = (row: { body: string }): Body => JSON.parse(row.body) as Body

const findBody = (file: SqliteFile, id: TenantId): Body | undefined => {
  const row = file.get<{ body: string }>('SELECT body FROM tenants WHERE id = ?', id)
  return row && parse(row)
}

/** The salt is no part of what is told of a tenant. */
const plain = ({ id, name, limits, createdAt }: Body): Tenant => ({ id, name, limits, createdAt })

const find = (file: SqliteFile, id: TenantId): Tenant | undefined => {
  const body = findBody(file, id)
  return body && plain(body)
}

const missing = (id: TenantId): CodedError => new CodedError('not_found', `there is no tenant ${id}`)

/** An index over each holds the tenant, so a count of a thousand takes some 20 µs: no counter that could drift is needed. */
const COUNTS = {
  sessions: 'SELECT count(*) AS n FROM sessions WHERE tenant = ?',
  keys: 'SELECT count(*) AS n FROM api_keys WHERE tenant = ? AND revoked_at IS NULL',
  // Of the open jobs, which are few: their keys begin with the tenant and `~`, behind which only char(127) comes.
  imports:
    "SELECT count(*) AS n FROM jobs WHERE finished_at IS NULL AND session > ?1 || '~' AND session < ?1 || char(127) " +
    "AND json_extract(body, '$.kind') = 'import'",
} as const satisfies Record<keyof TenantUse, string>

const count = (file: SqliteFile, id: TenantId, quota: keyof TenantUse): number =>
  file.get<{ n: number }>(COUNTS[quota], id)?.n ?? 0

/**
 * Inside a task of `write` that is about to make one more: writers come one after the other, so what is counted here is what
 * is there when it is made. @throws CodedError `limit_reached`
 */
export function demandRoom(file: SqliteFile, id: TenantId, quota: keyof TenantUse): void {
  const tenant = find(file, id)
  if (!tenant) return
  const [used, allowed] = [count(file, id, quota), allowedOf(tenant.limits, quota)]
  if (used >= allowed) throw limitReached({ quota, used, allowed }, `the ${quota} of the tenant ${id}`)
}

/** The customers, in the table `tenants`. */
export function sqliteTenantStore(file: SqliteFile): TenantStore {
  return {
    create: (tenant) =>
      file.write('create a tenant', () => {
        const sql = 'INSERT INTO tenants (id, body) VALUES (?, ?) ON CONFLICT DO NOTHING'
        if (file.run(sql, tenant.id, toBody('create a tenant', 'tenant', tenant)) === 0) {
          throw new CodedError('exists', `the tenant ${tenant.id} exists`)
        }
      }),

    get: (id) => file.read('read a tenant', () => find(file, id)),

    list: () =>
      file.read('list the tenants', () =>
        file.all<{ body: string }>('SELECT body FROM tenants ORDER BY id').map((row) => plain(parse(row))),
      ),

    change: (id, change) =>
      file.write('change a tenant', () => {
        const stored = findBody(file, id)
        if (!stored) throw missing(id)
        const { name, limits } = change(plain(stored))
        const body: Body = { ...stored, name, limits }
        file.run('UPDATE tenants SET body = ? WHERE id = ?', toBody('change a tenant', 'tenant', body), id)
        return plain(body)
      }),

    async salt(id) {
      const known = await file.read('read the salt of a tenant', () => findBody(file, id)?.salt)
      const salt =
        known ??
        (await file.write('make the salt of a tenant', () => {
          const stored = findBody(file, id)
          if (!stored) throw missing(id)
          if (stored.salt !== undefined) return stored.salt
          const made = Buffer.from(newTenantSalt()).toString('base64')
          const body: Body = { ...stored, salt: made }
          file.run('UPDATE tenants SET body = ? WHERE id = ?', JSON.stringify(body), id)
          return made
        }))
      return Buffer.from(salt, 'base64')
    },

    used: (id) =>
      file.read('count what a tenant has', () => ({
        sessions: count(file, id, 'sessions'),
        keys: count(file, id, 'keys'),
        imports: count(file, id, 'imports'),
      })),

    remove: (id) =>
      file.write('remove a tenant', () => {
        file.run('DELETE FROM tenants WHERE id = ?', id)
      }),
  }
}
