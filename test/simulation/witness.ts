import type { SessionKey } from '#shared/ids.ts'
import { DurableState } from './durable-state.ts'
import { Incarnations } from './incarnations.ts'
import type { MemoryDatabase } from './memory/database.ts'
import { StoreChecks } from './store-checks.ts'
import type { Trace } from './trace.ts'
import type { VirtualTime } from './virtual-time.ts'
import { WhatsAppChecks } from './whatsapp-checks.ts'
import type { Device } from './whatsapp.ts'

interface Deps {
  time: VirtualTime
  trace: Trace
  db: MemoryDatabase
  renewWithinMs: number
  deviceOf: (key: SessionKey) => Device
}

/**
 * Sees everything, from outside, and knows the rules: each `anytime_` check is made in the very turn in which it could be
 * broken. The first violation ends the run.
 */
export class Witness {
  /** The first. */
  violation: string | undefined
  readonly counts: Record<string, number> = {}
  readonly time: VirtualTime
  readonly trace: Trace
  readonly db: MemoryDatabase
  readonly deviceOf: (key: SessionKey) => Device
  readonly incarnations: Incarnations
  /** The highest epoch that ever began a connection, by session. */
  readonly dialledEpoch = new Map<SessionKey, number>()
  readonly atStores: StoreChecks
  readonly atWhatsApp: WhatsAppChecks
  readonly #durable = new Map<SessionKey, DurableState>()

  constructor({ time, trace, db, renewWithinMs, deviceOf }: Deps) {
    this.time = time
    this.trace = trace
    this.db = db
    this.deviceOf = deviceOf
    this.incarnations = new Incarnations({ time, renewWithinMs, violate: this.violate })
    this.atStores = new StoreChecks(this)
    this.atWhatsApp = new WhatsAppChecks(this)
  }

  readonly violate = (what: string): void => {
    this.trace.note('witness', `VIOLATION ${what}`)
    this.violation ??= what
  }

  readonly count = (what: string): void => {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }

  /** What the stores hold of a session's state, entry by entry as they were accepted. */
  durable(key: SessionKey): DurableState {
    const known = this.#durable.get(key) ?? new DurableState(this.db, key)
    this.#durable.set(key, known)
    return known
  }
}
