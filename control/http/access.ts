import type { Scope } from '#shared/store/api-key-store.ts'

/** What a request to a route must bring before anything else of it is looked at. */
export interface Access {
  /** `public` needs no key at all. */
  scope: Scope | 'public'
  /** `tenant`: of one tenant, `c.get('tenant')`. `operator`: only for keys bound to no tenant. Absent: the handler looks. */
  of?: 'tenant' | 'operator'
  /**
   * What a key for named sessions gets. `own`: its own sessions, all others are not there (404). `filtered`: what the handler
   * leaves over for it. `refused`: 403.
   */
  named: 'own' | 'filtered' | 'refused'
  /** A flag of the query that takes a further scope. */
  flag?: { name: string; scope: Scope }
}

const PUBLIC: Access = { scope: 'public', named: 'filtered' }
const session = (scope: Scope): Access => ({ scope, of: 'tenant', named: 'own' })
const operator = (scope: Scope): Access => ({ scope, of: 'operator', named: 'refused' })

/**
 * The one table of who may do what: route, scope, and what a key for named sessions gets. Routes are declared by it
 * (`route.ts`), the OpenAPI document shows it, and a test walks every route with every kind of key.
 */
export const ACCESS: Readonly<Record<string, Access>> = {
  'GET /': PUBLIC,
  'GET /docs': PUBLIC,
  'GET /openapi.json': PUBLIC,
  'GET /health/live': PUBLIC,
  'GET /health/ready': PUBLIC,
  'GET /metrics': operator('read'),

  'POST /v1/tenants': operator('admin'),
  'GET /v1/tenants': { scope: 'read', named: 'refused' },
  'GET /v1/tenants/{tenant}': { scope: 'read', named: 'refused' },
  'PATCH /v1/tenants/{tenant}': operator('admin'),
  'DELETE /v1/tenants/{tenant}': operator('admin'),

  'POST /v1/keys': { scope: 'admin', named: 'refused' },
  'GET /v1/keys': { scope: 'admin', named: 'refused' },
  'GET /v1/keys/{id}': { scope: 'admin', named: 'refused' },
  'DELETE /v1/keys/{id}': { scope: 'admin', named: 'refused' },

  'POST /v1/sessions': { scope: 'control', of: 'tenant', named: 'refused' },
  'GET /v1/sessions': { scope: 'read', of: 'tenant', named: 'filtered' },
  'GET /v1/sessions/{id}': session('read'),
  'PUT /v1/sessions/{id}': session('control'),
  'PATCH /v1/sessions/{id}': session('control'),
  'DELETE /v1/sessions/{id}': { ...session('control'), flag: { name: 'purge', scope: 'credentials' } },
  'POST /v1/sessions/{id}/start': session('control'),
  'POST /v1/sessions/{id}/stop': session('control'),
  'POST /v1/sessions/{id}/restart': session('control'),
  'POST /v1/sessions/{id}/resume': session('control'),
  'POST /v1/sessions/{id}/logout': session('control'),
  'POST /v1/sessions/{id}/reset': session('control'),
  'POST /v1/sessions/{id}/rotate-keys': session('control'),
  'GET /v1/sessions/{id}/jobs/{job}': session('read'),
  'GET /v1/sessions/{id}/health': session('read'),
  'GET /v1/sessions/{id}/uptime': session('read'),
  'GET /v1/sessions/{id}/events': session('read'),

  'POST /v1/sessions/{id}/pairing': session('control'),
  'GET /v1/sessions/{id}/pairing': session('read'),
  'DELETE /v1/sessions/{id}/pairing': session('control'),
  'GET /v1/sessions/{id}/qr': session('read'),

  'POST /v1/sessions/{id}/messages': session('send'),
  'GET /v1/sessions/{id}/messages': session('read'),
  'GET /v1/sessions/{id}/messages/{message}': session('read'),
  'DELETE /v1/sessions/{id}/messages/{message}': session('send'),

  'GET /v1/sessions/{id}/snapshots': session('read'),
  'POST /v1/sessions/{id}/snapshots': session('control'),
  // Whoever can take credentials out, put others in or bring old ones back can become the device.
  'POST /v1/sessions/{id}/restore': session('credentials'),
  'POST /v1/sessions/{id}/export': session('credentials'),
  'GET /v1/sessions/{id}/export': session('credentials'),
  'POST /v1/sessions/{id}/import': session('credentials'),
  'GET /v1/import-key': { scope: 'credentials', named: 'filtered' },

  'GET /v1/removals': { scope: 'read', of: 'tenant', named: 'refused' },
  'GET /v1/removals/{id}': session('read'),
  // What deleted sessions left has an id of its own, and a restore of it makes a session.
  'GET /v1/backups': { scope: 'read', of: 'tenant', named: 'refused' },
  'POST /v1/backups/{id}/restore': { scope: 'credentials', of: 'tenant', named: 'refused' },
  'DELETE /v1/backups/{id}': { scope: 'credentials', of: 'tenant', named: 'refused' },

  'GET /v1/events': { scope: 'read', named: 'filtered' },
  'GET /v1/report': { scope: 'read', named: 'filtered' },
  'GET /v1/runners': operator('read'),
  'POST /v1/runners/{runner}/drain': operator('admin'),
  'DELETE /v1/runners/{runner}/drain': operator('admin'),
  'POST /v1/maintenance/sweep': operator('admin'),
}

/** Of a route as OpenAPI writes it. A route without a row would be open to nobody knows whom, so it ends the start. */
export function accessOf(method: string, path: string): Access {
  const name = `${method.toUpperCase()} ${path}`
  const access = ACCESS[name]
  if (!access) throw new Error(`the route ${name} stands in no row of the table of access`)
  return access
}
