import type { z } from 'zod'
import { systemClock } from '#shared/clock.ts'
import type { RemovalSchema } from '#control/present/removal.ts'
import type { JobSchema, SessionSchema, SessionWithJobSchema } from '#control/present/schemas.ts'

export type Session = z.infer<typeof SessionSchema>
export type Phase = Session['status']['phase']
export type Job = z.infer<typeof JobSchema>
export type Removal = z.infer<typeof RemovalSchema>
type SessionWithJob = z.infer<typeof SessionWithJobSchema>

export interface Snapshot {
  id: string
  seq: number
  reason: string
  label: string | null
  quarantined: string | null
}

export interface Backup {
  id: string
  session: string
  life: string | null
  jid: string | null
}

export interface SentMessage {
  id: string
  state: 'queued' | 'sending' | 'sent' | 'delivered' | 'read' | 'played' | 'failed' | 'withdrawn'
}

export interface ReceivedMessage {
  id: string
  from: string
  chat: string
  text?: string
  cursor: string
}

export interface Event {
  kind: string
  from?: string
  to?: string
  why?: string
  code?: number
}

export interface Report {
  total: number
  wanted: number
  restored: number
  waiting: number
  failed: number
  unpaired: number
  stopped: number
  rate: number
  failures: { id: string; phase: Phase; reason: string | null }[]
}

export interface Health {
  healthy: boolean
  phase: Phase
  reason: string | null
  credentials: { state: string; needsPairing: boolean }
}

interface Page<T> {
  items: T[]
  next?: string
}

export type Verb = 'start' | 'stop' | 'restart' | 'resume'
export type JobVerb = 'logout' | 'reset' | 'rotate-keys'
export type RestoreAsk = ({ snapshot: string } | { at: string } | { latest: true }) & { force?: boolean }

/** The API answered with a problem document. */
export class Problem extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, text: string) {
    super(`${status} ${code}: ${text}`)
    this.status = status
    this.code = code
  }
}

export type Api = ReturnType<typeof mooringApi>

/** The HTTP API of one Mooring, as a user of one tenant meets it. Every call is one request. */
export function mooringApi(at: { url: string; key: string; tenant: string }) {
  const call = async <T>(
    method: string,
    path: string,
    body?: unknown,
    query: Record<string, string> = {},
  ): Promise<T> => {
    const search = new URLSearchParams({ tenant: at.tenant, ...query })
    const ask = () =>
      fetch(`${at.url}${path}?${search}`, {
        method,
        headers: {
          'x-api-key': at.key,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    let answer = await ask()
    // Too many requests: a client waits as it is told to.
    for (; answer.status === 429; answer = await ask())
      await systemClock.sleep(Number(answer.headers.get('retry-after')) * 1000)
    const text = await answer.text()
    const parsed = text === '' ? undefined : (JSON.parse(text) as unknown)
    if (answer.ok) return parsed as T
    const { code = 'no_code', detail = text } = (parsed ?? {}) as { code?: string; detail?: string }
    throw new Problem(answer.status, code, detail)
  }
  /** Octets in or out, for bundles. */
  const carry = async (
    method: string,
    path: string,
    passphrase: string,
    bytes?: Uint8Array,
  ): Promise<Buffer> => {
    const answer = await fetch(`${at.url}${path}?${new URLSearchParams({ tenant: at.tenant })}`, {
      method,
      headers: {
        'x-api-key': at.key,
        'x-passphrase': passphrase,
        ...(bytes ? { 'content-type': 'application/octet-stream' } : {}),
      },
      ...(bytes ? { body: Buffer.from(bytes) } : {}),
    })
    const octets = Buffer.from(await answer.arrayBuffer())
    if (!answer.ok) throw new Problem(answer.status, 'no_code', octets.toString())
    return octets
  }
  const of = (id: string): string => `/v1/sessions/${id}`

  return {
    ...at,
    call,
    /** Harmless when it exists. */
    async createTenant(id: string = at.tenant): Promise<void> {
      await call('POST', '/v1/tenants', { id, name: id }).catch((error: unknown) => {
        if (!(error instanceof Problem && error.code === 'exists')) throw error
      })
    },
    create: (id: string, want: object = { state: 'running' }) =>
      call<Session>('POST', '/v1/sessions', { id, want }),
    get: (id: string) => call<Session>('GET', of(id)),
    list: () => call<Page<Session>>('GET', '/v1/sessions', undefined, { limit: '500' }),
    patch: (id: string, want: object) => call<Session>('PATCH', of(id), { want }),
    remove: (id: string, purge = false) =>
      call<Removal | undefined>('DELETE', of(id), undefined, { purge: String(purge) }),
    removal: (id: string) => call<Removal>('GET', `/v1/removals/${id}`),
    removals: async () => (await call<Page<Removal>>('GET', '/v1/removals')).items,
    backups: async () => (await call<Page<Backup>>('GET', '/v1/backups')).items,
    restoreBackup: (id: string, as: string) =>
      call<SessionWithJob>('POST', `/v1/backups/${id}/restore`, { as }),
    discardBackup: (id: string) => call<undefined>('DELETE', `/v1/backups/${id}`),
    act: (id: string, verb: Verb) => call<Session>('POST', `${of(id)}/${verb}`),
    ask: (id: string, verb: JobVerb) => call<SessionWithJob>('POST', `${of(id)}/${verb}`),
    job: (id: string, job: string) => call<Job>('GET', `${of(id)}/jobs/${job}`),
    openPairing: (id: string, more: object = {}) =>
      call<Session>('POST', `${of(id)}/pairing`, { method: 'qr', ...more }),
    pairing: (id: string) =>
      call<{ state: string; explanation: string; code?: string }>('GET', `${of(id)}/pairing`),
    qr: (id: string, waitS = 0) =>
      call<{ qr: string; expiresAt: string }>('GET', `${of(id)}/qr`, undefined, {
        format: 'json',
        wait: String(waitS),
      }),
    health: (id: string) => call<Health>('GET', `${of(id)}/health`),
    events: async (id: string) =>
      (await call<Page<Event>>('GET', `${of(id)}/events`, undefined, { limit: '500' })).items,
    snapshots: async (id: string) => (await call<Page<Snapshot>>('GET', `${of(id)}/snapshots`)).items,
    takeSnapshot: (id: string, label?: string) =>
      call<SessionWithJob>('POST', `${of(id)}/snapshots`, label === undefined ? {} : { label }),
    restore: (id: string, ask: RestoreAsk) => call<SessionWithJob>('POST', `${of(id)}/restore`, ask),
    send: (id: string, to: string, text: string) =>
      call<SentMessage>('POST', `${of(id)}/messages`, { to, text }),
    sent: (id: string, message: string) => call<SentMessage>('GET', `${of(id)}/messages/${message}`),
    /** What came in, the oldest first. */
    feed: (id: string, after?: string) =>
      call<Page<ReceivedMessage>>('GET', `${of(id)}/messages`, undefined, {
        direction: 'in',
        limit: '500',
        ...(after === undefined ? {} : { after }),
      }),
    importFolder: (id: string, files: Record<string, string>, query: Record<string, string> = {}) =>
      call<SessionWithJob>('POST', `${of(id)}/import`, { files }, query),
    importBundle: async (id: string, bundle: Uint8Array, passphrase: string) =>
      JSON.parse(String(await carry('POST', `${of(id)}/import`, passphrase, bundle))) as SessionWithJob,
    exportBundle: (id: string, passphrase: string) => carry('GET', `${of(id)}/export`, passphrase),
    report: () => call<Report>('GET', '/v1/report'),
  }
}
