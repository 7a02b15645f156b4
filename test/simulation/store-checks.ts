import type { SessionKey } from '#shared/ids.ts'
import type { Status } from '#shared/session.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import type { SimulatedProcess } from './process.ts'
import type { Auditor } from './store-network.ts'
import type { Witness } from './witness.ts'

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

/** The checks that are made where the stores do what they are asked. */
export class StoreChecks implements Auditor {
  readonly #witness: Witness
  readonly #claimSentMs = new Map<SessionKey, number>()
  readonly #fed = new Map<SessionKey, number>()

  constructor(witness: Witness) {
    this.#witness = witness
  }

  served(
    process: SimulatedProcess,
    what: string,
    args: readonly unknown[],
    sentMs: number,
  ): (() => void) | undefined {
    const key = args[0] as SessionKey
    if (what === 'owners.claim') return this.#claims(process, (args[0] as { key: SessionKey }).key, sentMs)
    if (what === 'runners.remove') return () => this.#witness.incarnations.removed(String(args[0]), process)
    if (what === 'journal.append') return () => this.#appended(process, key, args[1] as JournalEntry)
    if (what === 'sessions.reportStatus') return () => this.#reported(process, key, args[1] as Status)
    if (what === 'feed.add') return () => this.#added(key)
    if (what === 'snapshots.quarantine')
      this.#witness.violate(
        `anytime_ ${process.name} quarantines a snapshot, and none is damaged: ${String(args[2])}`,
      )
    return undefined
  }

  answered(process: SimulatedProcess, what: string, sentMs: number): void {
    if (what === 'runners.renew') this.#witness.incarnations.renewed(process, sentMs)
  }

  #claims(process: SimulatedProcess, key: SessionKey, sentMs: number): () => void {
    const { db, trace, incarnations, violate } = this.#witness
    const before = db.owners.get(key)
    return () => {
      const now = db.owners.get(key)
      // Seals are random, so what they make of an entry is not the same again from the same seed.
      const told = before && { ...before, witness: before.witness?.seq }
      trace.note(process.name, 'claims', { key, before: told, now: now?.epoch })
      if (now === before) return
      const claimedMs = this.#claimSentMs.get(key) ?? 0
      this.#claimSentMs.set(key, sentMs)
      const owner = incarnations.withRunner(before?.runnerId)
      if (!owner || owner.process === process || claimedMs < owner.stretchSinceMs) return
      if (incarnations.isGood(owner))
        violate(
          `anytime_ no two owners: ${process.name} takes ${key} from ${owner.process.name}, whose lease is good`,
        )
    }
  }

  #appended(process: SimulatedProcess, key: SessionKey, { seq, epoch }: JournalEntry): void {
    const { count, violate } = this.#witness
    const durable = this.#witness.durable(key)
    // A seq that was truncated, written once more: nobody ever reads it (docs/design/state.md §6.5).
    if (seq <= durable.seq) return count('entries below the snapshots')
    count('entries')
    const dialledEpoch = this.#witness.dialledEpoch.get(key) ?? 0
    if (epoch < dialledEpoch)
      violate(
        `anytime_ no late writer: entry ${seq} of ${key} under epoch ${epoch} is accepted from ` +
          `${process.name} after epoch ${dialledEpoch} connected`,
      )
    const wrong = durable.follow()
    if (wrong) violate(`anytime_ ${key}: ${wrong}`)
  }

  #reported(process: SimulatedProcess, key: SessionKey, { phase, epoch, reason }: Status): void {
    const { trace, violate } = this.#witness
    trace.note(process.name, 'status', { key, phase, epoch })
    if (UNCALLED.has(phase)) violate(`anytime_ ${key} is never given up: ${phase}, ${reason ?? ''}`)
    if (phase === 'conflict' && this.#witness.deviceOf(key).foreigners === 0)
      violate(`anytime_ no conflict with ourselves: ${key} has one, and no foreigner was there`)
  }

  #added(key: SessionKey): void {
    const { db, count, violate } = this.#witness
    const feed = [...(db.feeds.get(key)?.values() ?? [])]
    const { inbound } = this.#witness.deviceOf(key)
    for (let at = this.#fed.get(key) ?? 0; at < feed.length; at++) {
      const sent = inbound[at]
      const got = feed[at]?.item
      if (!sent || !got || sent.id !== got.id || sent.text !== got.text)
        violate(`anytime_ feed in order: ${key} got ${got?.id} as its ${at + 1}th, not ${sent?.id}`)
      count('fed')
    }
    this.#fed.set(key, feed.length)
  }
}
