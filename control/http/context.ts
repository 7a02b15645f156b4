import type { Context } from 'hono'
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Registry } from 'prom-client'
import type { Clock } from '#shared/clock.ts'
import type { SessionId, TenantId } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { GuardedConnector } from '#shared/net/guarded-connector.ts'
import type { Quota } from '#shared/quotas.ts'
import type { Random } from '#shared/random.ts'
import type { Bodies } from '#shared/sealing/bodies.ts'
import type { Scope } from '#shared/store/api-key-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Fleet } from '../report/fleet.ts'
import type { Metrics } from '../report/metrics.ts'
import type { Quotas } from './quotas.ts'

/** What the composition root gives to control. */
export interface ControlDeps {
  stores: Stores
  /** Seals and opens messages and events. */
  bodies: Bodies
  clock: Clock
  random: Random
  log: Log
  /** For whom imports are sealed, and who may open exports. */
  transfer: { recipient: () => Promise<string>; exportTo: 'passphrase' | 'recipients' }
  /** Judges the addresses that tenants name. */
  guard: Pick<GuardedConnector, 'judge'>
  /** SHA-256 of the bootstrap admin key, hex. Without it only keys in the store are known. */
  adminKeySha256?: string
  /** What API keys are marked with; only control has it, so that nobody who merely writes the database can make keys. */
  keyPepper: string
  /** Of Google Cloud, where there is one: lines of a request are filed under its trace there. */
  project?: string
  /** Shown by `/health/ready` and in the OpenAPI document. */
  version?: string
  /** How many processes serve the API at most: each has its share of the quotas that are per process. */
  instances?: number
  /** Event streams that this process holds at most, of everybody together. */
  streamsMax?: number
  /** Other numbers than the table of quotas has. */
  quotaOverrides?: Partial<Record<Quota, number>>
  /** Proxies of ours in front, each of which notes in X-Forwarded-For where a request came from. */
  trustedProxies?: number
  /** Origins of other pages whose scripts may ask. */
  corsOrigins?: readonly string[]
  /** Where `/metrics` reads; with both roles in one process the runner's metrics may live in it too. */
  registry?: Registry
  /** Of the runner in this process: statuses of its sessions have waited for too long to be written. */
  isStatusLate?: () => boolean
  /** How often an open event stream looks for news. */
  streamPollMs?: number
}

/** `ControlDeps` with every default filled in, and what the routes share. */
export interface Services extends Required<
  Omit<ControlDeps, 'adminKeySha256' | 'registry' | 'project' | 'instances' | 'streamsMax' | 'quotaOverrides'>
> {
  messageIdSecret: Uint8Array
  adminKeySha256: string | undefined
  project: string | undefined
  fleet: Fleet
  metrics: Metrics
  quotas: Quotas
}

/** Who is asking. */
export interface Caller {
  sha256: string
  /** The first characters of the key: safe to log and to keep in the audit trail. */
  prefix: string
  /** Absent for a key of the operator, which names the tenant in each request. */
  tenant?: TenantId
  scopes: readonly Scope[]
  /** The names of the sessions that the key is for; absent for all of its tenant. */
  sessions?: readonly SessionId[]
  expiresAt?: number
}

export interface ControlEnv {
  Variables: {
    requestId: string
    /** Names the request, and its trace, in every line. */
    log: Log
    caller: Caller
    /** Set on routes of one tenant: it exists, and the caller may see it. */
    tenant: TenantId
  }
}

export type ControlApp = OpenAPIHono<ControlEnv>
export type ControlContext = Context<ControlEnv>
