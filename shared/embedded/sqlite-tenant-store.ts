import { CodedError } from '../errors.ts'
import type { Tenant, TenantStore } from '../store/tenant-store.ts'
import { toBody } from './body.ts'
import type { SqliteFile } from './sqlite-file.ts'

const parse = (row: { body: string }): Tenant => JSON.parse(row.body) as Tenant

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

    get: (id) =>
      file.read('read a tenant', () => {
        const row = file.get<{ body: string }>('SELECT body FROM tenants WHERE id = ?', id)
        return row && parse(row)
      }),

    list: () =>
      file.read('list the tenants', () =>
        file.all<{ body: string }>('SELECT body FROM tenants ORDER BY id').map(parse),
      ),

    remove: (id) =>
      file.write('remove a tenant', () => {
        file.run('DELETE FROM tenants WHERE id = ?', id)
      }),
  }
}
