import type { SessionKey } from '#shared/ids.ts'
import type { Owner, Status } from '#shared/session.ts'
import type { FeedItem } from '#shared/store/feed-store.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import { DurableState } from './durable-state.ts'
import type { MemoryDatabase } from './memory/database.ts'
import type { SimulatedProcess } from './process.ts'
import type { SimulatedSocket } from './simulated-socket.ts'
import type { Auditor } from './store-network.ts'
import type { Trace } from './trace.ts'
import type { VirtualTime } from './virtual-time.ts'
import type { Device, Inbound, Outbound, WhatsAppClient, WhatsAppWitness } from './whatsapp.ts'

/** One process with its runner, as the witness sees it. */
export interface Incarnation {
  readonly process: SimulatedProcess
  readonly runnerId: string
  /** Until when its lease is good by the written rule: from before the last renewal that succeeded was sent. */
  leaseUntilMs: number
  /** Since when it has been good without a break: what was claimed before is not the runner's any more. */
  stretchSinceMs: number
  /** Connections that it has not closed. */
  readonly sockets: Set<SimulatedSocket>
}

/**
 * A socket must be gone when the lease is: at once, which on a machine means by the end of the turns that this takes. After a
 * freeze as much again counts from the thaw.
 */
const AT_ONCE_MS = 50
/** Phases that nothing in this world leads to. */
const UNCALLED: ReadonlySet<Status['phase']> = new Set([
  'failed',
  'logged_out',
  'banned',
  'restricted',
  'outdated',
  'unpaired',
  'pairing',
])

interface Deps {
  time: VirtualTime
  trace: Trace
  db: MemoryDatabase
  renewWithinMs: number
}

/**
 * Sees everything, from outside, and knows the rules: each `anytime_` check is made in the very turn in which it could be
 * broken. The first violation ends the run.
 */
export class Witness implements Auditor, WhatsAppWitness {
  violation: string | undefined
  readonly #deps: Deps
  readonly #incarnations = new Map<SimulatedProcess, Incarnation>()
  readonly #durable = new Map<SessionKey, DurableState>()
  /** The highest epoch that ever began a connection, by session. */
  readonly #dialledEpoch = new Map<SessionKey, number>()
  /** Connections that a foreign client replaced: under which epoch, and which generation was wanted then. */
  readonly #replaced = new Map<SessionKey, { epoch: number; generation: number; atMs: number }>()
  readonly #claimSentMs = new Map<SessionKey, number>()
  readonly #fed = new Map<SessionKey, number>()
  readonly counts: Record<string, number> = {}

  constructor(deps: Deps) {
    this.#deps = deps
  }

  violate(what: string): void {
    this.#deps.trace.note('witness', `VIOLATION ${what}`)
    this.violation ??= what
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }

  began(process: SimulatedProcess, runnerId: string): Incarnation {
    const incarnation: Incarnation = {
      process,
      runnerId,
      leaseUntilMs: -Infinity,
      stretchSinceMs: Infinity,
      sockets: new Set(),
    }
    this.#incarnations.set(process, incarnation)
    process.atEnd(() => this.#incarnations.delete(process))
    return incarnation
  }

  opened(socket: SimulatedSocket): void {
    this.#incarnations.get(socket.process)?.sockets.add(socket)
  }

  closed(socket: SimulatedSocket): void {
    this.#incarnations.get(socket.process)?.sockets.delete(socket)
  }

  get incarnations(): readonly Incarnation[] {
    return [...this.#incarnations.values()]
  }

  durable(key: SessionKey): DurableState {
    const known = this.#durable.get(key) ?? new DurableState(this.#deps.db, key)
    this.#durable.set(key, known)
    return known
  }

  // --- the stores ---

  served(
    process: SimulatedProcess,
    what: string,
    args: readonly unknown[],
    sentMs: number,
  ): (() => void) | undefined {
    if (what === 'owners.claim') return this.#claims(process, args[0] as { key: SessionKey }, sentMs)
    if (what === 'journal.append')
      return this.#appends(process, args[0] as SessionKey, args[1] as JournalEntry)
    if (what === 'sessions.reportStatus')
      return this.#reports(process, args[0] as SessionKey, args[1] as Status)
    if (what === 'feed.add') return this.#feeds(args[0] as SessionKey, args[1] as readonly FeedItem[])
    if (what === 'snapshots.quarantine')
      this.violate(`anytime_ ${process.name} quarantines a snapshot, and none is damaged: ${String(args[2])}`)
    return undefined
  }

  answered(process: SimulatedProcess, what: string, sentMs: number): void {
    const incarnation = this.#incarnations.get(process)
    if (!incarnation || what !== 'runners.renew') return
    if (!this.#leaseIsGood(incarnation)) incarnation.stretchSinceMs = this.#deps.time.nowMs
    incarnation.leaseUntilMs = Math.max(incarnation.leaseUntilMs, sentMs + this.#deps.renewWithinMs)
    this.#watchLease(incarnation)
  }

  #claims(process: SimulatedProcess, { key }: { key: SessionKey }, sentMs: number): () => void {
    const before: Owner | undefined = this.#deps.db.owners.get(key)
    return () => {
      this.#deps.trace.note(process.name, 'claims', {
        key,
        before,
        now: this.#deps.db.owners.get(key)?.epoch,
      })
      const owner = this.incarnations.find(({ runnerId }) => runnerId === before?.runnerId)
      if (this.#deps.db.owners.get(key) === before) return
      const claimedMs = this.#claimSentMs.get(key) ?? 0
      this.#claimSentMs.set(key, sentMs)
      if (!owner || owner.process === process || claimedMs < owner.stretchSinceMs) return
      if (this.#leaseIsGood(owner))
        this.violate(
          `anytime_ no two owners: ${process.name} takes ${key} from ${owner.process.name}, whose lease is good`,
        )
    }
  }

  #appends(process: SimulatedProcess, key: SessionKey, entry: JournalEntry): () => void {
    return () => {
      // A seq that was truncated, written once more: nobody ever reads it (DESIGN, Durable state).
      if (entry.seq <= this.durable(key).seq) return this.count('entries below the snapshots')
      this.count('entries')
      if (entry.epoch < (this.#dialledEpoch.get(key) ?? 0))
        this.violate(
          `anytime_ no late writer: entry ${entry.seq} of ${key} under epoch ${entry.epoch} is accepted from ` +
            `${process.name} after epoch ${this.#dialledEpoch.get(key)} connected`,
        )
      const wrong = this.durable(key).follow()
      if (wrong) this.violate(`anytime_ ${key}: ${wrong}`)
    }
  }

  #reports(process: SimulatedProcess, key: SessionKey, status: Status): () => void {
    return () => {
      this.#deps.trace.note(process.name, 'status', { key, phase: status.phase, epoch: status.epoch })
      if (UNCALLED.has(status.phase))
        this.violate(`anytime_ ${key} is never given up: ${status.phase}, ${status.reason ?? ''}`)
      if (status.phase === 'conflict' && this.#deviceOf(key).foreigners === 0)
        this.violate(`anytime_ no conflict with ourselves: ${key} has one, and no foreigner was there`)
    }
  }

  #feeds(key: SessionKey, items: readonly FeedItem[]): () => void {
    return () => {
      const feed = [...(this.#deps.db.feeds.get(key)?.values() ?? [])]
      const { inbound } = this.#deviceOf(key)
      for (let at = this.#fed.get(key) ?? 0; at < feed.length; at++) {
        const sent = inbound[at]
        const got = feed[at]?.item
        if (!sent || !got || sent.id !== got.id || sent.text !== got.text)
          this.violate(`anytime_ feed in order: ${key} got ${got?.id} as its ${at + 1}th, not ${sent?.id}`)
        this.count('fed')
      }
      this.#fed.set(key, feed.length)
      if (items.length === 0) this.violate(`anytime_ ${key}: nothing was added to the feed`)
    }
  }

  // --- WhatsApp ---

  /** Set once the devices are there. */
  deviceOf: ((key: SessionKey) => Device) | undefined
  #deviceOf(key: SessionKey): Device {
    if (!this.deviceOf) throw new Error('the witness does not know the devices yet')
    return this.deviceOf(key)
  }

  dialled({ key }: Device, client: WhatsAppClient): void {
    const { process, epoch } = client as SimulatedSocket
    const { trace, time, db } = this.#deps
    trace.note(process.name, 'connects', { key, epoch })
    this.count('connects')
    const incarnation = this.#incarnations.get(process)
    if (!incarnation) return
    if (!this.#leaseIsGood(incarnation))
      this.violate(`anytime_ no socket without a lease: ${process.name} connects ${key}`)
    const owner = db.owners.get(key)
    if (owner?.runnerId !== incarnation.runnerId || owner.epoch !== epoch)
      this.violate(
        `anytime_ only an owner connects: ${process.name} connects ${key} under epoch ${epoch}, but ` +
          `${owner?.runnerId ?? 'nobody'} has epoch ${owner?.epoch}`,
      )
    const replaced = this.#replaced.get(key)
    const want = db.sessions.get(key)?.session.want
    if (replaced?.epoch === epoch && Math.max(want?.resume ?? 0, want?.restart ?? 0) <= replaced.generation)
      this.violate(
        `anytime_ no reconnect after a conflict: ${process.name} connects ${key} again, ` +
          `${time.nowMs - replaced.atMs} ms after a foreigner replaced it, and nobody asked for it`,
      )
    this.#dialledEpoch.set(key, Math.max(this.#dialledEpoch.get(key) ?? 0, epoch))
  }

  loggedIn(device: Device, client: WhatsAppClient): void {
    const { process, epoch } = client as SimulatedSocket
    const { key } = device
    this.#deps.trace.note('whatsapp', 'logged in', { key, by: process.name, epoch })
    this.count('logins')
    for (const other of this.incarnations) {
      if (other.process === process || !other.process.runs || !this.#leaseIsGood(other)) continue
      const socket = [...other.sockets].find((one) => one.key === key && one.link.isOpen)
      if (socket)
        this.violate(
          `anytime_ no two sockets under valid epochs: ${key} at ${process.name} (epoch ${epoch}) and at ` +
            `${other.process.name} (epoch ${socket.epoch})`,
        )
    }
  }

  /** The runner heard of it: from here on it must know better. */
  replacedByForeigner({ key, process, epoch }: SimulatedSocket): void {
    this.#deps.trace.note('foreigner', 'replaces', { key, at: process.name, epoch })
    this.count('foreigners')
    const generation = this.#deps.db.sessions.get(key)?.session.want.generation ?? 0
    this.#replaced.set(key, { epoch, generation, atMs: this.#deps.time.nowMs })
  }

  receipted({ key }: Device, message: Inbound): void {
    this.count('received')
    if (!this.durable(key).kept.has(message.id))
      this.violate(`anytime_ nothing receipted that is not durable: ${message.id} of ${key}`)
  }

  accepted({ key, accepted }: Device, { id, chain, counter }: Outbound): void {
    this.count('sent')
    const before = accepted.findLast((message) => message.chain === chain)
    if (before && before.counter >= counter)
      this.violate(
        `anytime_ no ratchet rewound: ${key} uses number ${counter} of chain ${chain} for ${id} after ` +
          `${before.counter} for ${before.id}`,
      )
    if ((this.durable(key).sent.get(chain) ?? 0) < counter)
      this.violate(`anytime_ nothing sent whose ratchet step is not durable: ${id} of ${key}`)
  }

  unreadable(key: SessionKey, message: Inbound): void {
    this.violate(`anytime_ everything can be read: ${message.id} of ${key} can't be decrypted any more`)
  }

  // --- leases ---

  #leaseIsGood({ leaseUntilMs }: Incarnation): boolean {
    return this.#deps.time.nowMs < leaseUntilMs
  }

  /** Called again after a thaw. */
  #watchLease(incarnation: Incarnation): void {
    const { time } = this.#deps
    const { process, leaseUntilMs } = incarnation
    const lookAtMs = Math.max(leaseUntilMs, process.thawedAtMs, time.nowMs) + AT_ONCE_MS
    time.after(lookAtMs - time.nowMs, () => this.#look(incarnation))
  }

  thawed(process: SimulatedProcess): void {
    const incarnation = this.#incarnations.get(process)
    if (incarnation) this.#watchLease(incarnation)
  }

  #look(incarnation: Incarnation): void {
    const { process, leaseUntilMs, sockets } = incarnation
    const { time } = this.#deps
    if (!process.runs || time.nowMs < leaseUntilMs + AT_ONCE_MS) return
    if (time.nowMs < process.thawedAtMs + AT_ONCE_MS) return
    const [socket] = sockets
    if (socket)
      this.violate(
        `anytime_ no socket outlives its lease: ${process.name} still has one of ${socket.key}, ` +
          `${Math.round(time.nowMs - leaseUntilMs)} ms after its lease ran out`,
      )
  }
}
