import { CodedError } from '../errors.ts'
import type { TenantId } from '../ids.ts'
import { allowedOf, limitReached, type TenantLimits } from '../quotas.ts'
import type { TenantUse } from '../store/tenant-store.ts'
import { dataOf, type Database } from './database.ts'
import { ofTenant } from './document-id.ts'
import type { Writes } from './writes.ts'

/**
 * `tenants/{id}`: the tenant, `createdBy`, a nonce that tells one's own creation from another's, `used`, the counters, and
 * `salt`.
 * A tenant that was made before there were counters gets each with the first change of it.
 */
export interface TenantDocument {
  id: TenantId
  name: string
  limits: TenantLimits
  createdAt: number
  createdBy: string
  used?: Partial<TenantUse>
  /** Absent until it is first asked for. */
  salt?: Uint8Array
}

/** As many as any other conditional write (`change.ts`); calls of one process come in turn and don't collide. */
const TRIES_MAX = 40
/** From the third try on, waits up to this long: rivals that collided must not collide again in step. */
const SPREAD_MS = 20

/**
 * The counters of the exact quotas. Each change of one is a field of the tenant's document, written in the very commit that
 * makes or ends what it counts, and only while that document is as it was read: so no number of rivals passes a limit, and no
 * answer that was lost counts twice.
 */
export interface TenantCounters {
  /**
   * Commits `fill` and moves the counter by one. `settle` is asked after a commit that was refused: true when it was done all
   * the same (an answer that was lost) or there is nothing left to do; it throws what is final.
   * @throws CodedError `limit_reached`, `conflict` (too many writers at once), and what `settle` throws
   */
  commit(ask: {
    what: string
    tenant: TenantId
    quota: keyof TenantUse
    by: 1 | -1
    fill: (writes: Writes) => void
    settle: () => Promise<boolean>
  }): Promise<void>
  /** What is counted, read afresh. */
  used(tenant: TenantId): Promise<TenantUse>
}

export function createTenantCounters(db: Database): TenantCounters {
  const tenants = db.collection('tenants')
  const inTurn = createTurns()

  /**
   * What is made by one program and ended by another, or swept, is counted each time: nothing can drift. The field is written
   * all the same, so that of two rivals one finds the document changed and counts again.
   */
  const counted = (stored: TenantDocument, quota: keyof TenantUse): number | undefined =>
    quota === 'imports' ? undefined : stored.used?.[quota]

  /** For a tenant without the counter: whoever makes or ends one meanwhile changes the document, and this is done again. */
  async function countAll(tenant: TenantId, quota: keyof TenantUse): Promise<number> {
    if (quota === 'sessions') {
      const found = await db.query('count sessions', ofTenant(db.collection('sessions'), tenant).select())
      return found.size
    }
    if (quota === 'imports') {
      const open = db.collection('jobs').where('importOf', '==', tenant)
      return (await db.query('count open imports', open.select())).size
    }
    const found = await db.query('count API keys', db.collection('apiKeys').where('tenant', '==', tenant))
    return found.docs.filter((doc) => doc.get('revokedAt') === undefined).length
  }

  return {
    commit: ({ what, tenant, quota, by, fill, settle }) =>
      inTurn(tenant, async () => {
        const ref = tenants.doc(tenant)
        for (let tries = 0; tries < TRIES_MAX; tries++) {
          if (tries > 1) await db.clock.sleep(db.random.next() * SPREAD_MS)
          const snapshot = await db.get(what, ref)
          const stored = dataOf<TenantDocument>(snapshot)
          const used = stored && (counted(stored, quota) ?? (await countAll(tenant, quota)))
          if (stored && used !== undefined && by > 0) {
            const allowed = allowedOf(stored.limits, quota)
            if (used >= allowed)
              throw limitReached({ quota, used, allowed }, `the ${quota} of the tenant ${tenant}`)
          }
          const outcome = await db.commit(what, (writes) => {
            fill(writes)
            if (used !== undefined)
              writes.update(ref, { [`used.${quota}`]: Math.max(0, used + by) }, snapshot.updateTime)
          })
          if (outcome.done || (await settle())) return
        }
        throw new CodedError('conflict', `${what}: too many writers at once`)
      }),

    async used(tenant) {
      const stored = dataOf<TenantDocument>(await db.get('count what a tenant has', tenants.doc(tenant)))
      if (!stored) return { sessions: 0, keys: 0, imports: 0 }
      return {
        sessions: stored.used?.sessions ?? (await countAll(tenant, 'sessions')),
        keys: stored.used?.keys ?? (await countAll(tenant, 'keys')),
        imports: await countAll(tenant, 'imports'),
      }
    },
  }
}

/** Calls of one tenant one after the other: this process must not collide with itself. */
function createTurns() {
  const last = new Map<TenantId, Promise<unknown>>()
  return async (tenant: TenantId, work: () => Promise<void>): Promise<void> => {
    const mine = (last.get(tenant) ?? Promise.resolve()).then(work, work)
    last.set(tenant, mine)
    try {
      await mine
    } finally {
      if (last.get(tenant) === mine) last.delete(tenant)
    }
  }
}
