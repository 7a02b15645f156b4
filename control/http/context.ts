import type { Context } from 'hono'
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Registry } from 'prom-client'
import type { Clock } from '#shared/clock.ts'
import type { TenantId } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Random } from '#shared/random.ts'
import type { Scope } from '#shared/store/api-key-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Fleet } from '../report/fleet.ts'
import type { Metrics } from '../report/metrics.ts'

/** What the composition root gives to control. */
export interface ControlDeps {
  stores: Stores
  clock: Clock
  random: Random
  log: Log
  /** For whom imports are sealed, and who may open exports. */
  transfer: { recipient: () => Promise<string>; exportTo: 'passphrase' | 'recipients' }
  /** SHA-256 of the bootstrap admin key, hex. Without it only keys in the store are known. */
  adminKeySha256?: string
  /** What API keys are marked with; only control has it, so that nobody who merely writes the database can make keys. */
  keyPepper: string
  /** Of Google Cloud, where there is one: lines of a request are filed under its trace there. */
  project?: string
  /** Shown by `/health/ready` and in the OpenAPI document. */
  version?: string
  /** Per key. */
  rate?: { perSecond: number; burst: number }
  /** For tenants that are created without a limit of their own. */
  sessionsPerTenant?: number
  /** Where `/metrics` reads; with both roles in one process the runner's metrics may live in it too. */
  registry?: Registry
  /** Of the runner in this process: statuses of its sessions have waited for too long to be written. */
  isStatusLate?: () => boolean
  /** How often an open event stream looks for news. */
  streamPollMs?: number
}

/** `ControlDeps` with every default filled in, and what the routes share. */
export interface Services extends Required<Omit<ControlDeps, 'adminKeySha256' | 'registry' | 'project'>> {
  messageIdSecret: Uint8Array
  adminKeySha256: string | undefined
  project: string | undefined
  fleet: Fleet
  metrics: Metrics
}

/** Who is asking. */
export interface Caller {
  sha256: string
  /** The first characters of the key: safe to log and to keep in the audit trail. */
  prefix: string
  /** Absent for a key of the operator, which names the tenant in each request. */
  tenant?: TenantId
  scopes: readonly Scope[]
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
