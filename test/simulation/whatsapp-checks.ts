import { nameOfKey, type SessionKey } from '#shared/ids.ts'
import { LateLogins } from '#runner/session/late-logins.ts'
import type { SimulatedSocket } from './simulated-socket.ts'
import type { Device, Inbound, Outbound, WhatsAppClient, WhatsAppWitness } from './whatsapp.ts'
import type { Witness } from './witness.ts'

/** The checks that are made where WhatsApp sees what a runner does. */
export class WhatsAppChecks implements WhatsAppWitness {
  readonly #witness: Witness
  /** Connections whose runner heard that a foreigner replaced them: under which epoch, and which generation was wanted then. */
  readonly #replaced = new Map<SessionKey, { epoch: number; generation: number; atMs: number }>()

  readonly #dialled = new Map<SessionKey, SimulatedSocket>()
  /** Connections that were begun after one which may still log in, as far as their runner can know. */
  readonly #lateLogins = new LateLogins()

  constructor(witness: Witness) {
    this.#witness = witness
  }

  dialled({ key }: Device, client: WhatsAppClient): void {
    const { process, epoch } = client as SimulatedSocket
    const { trace, db, incarnations, dialledEpoch, count, violate } = this.#witness
    trace.note(process.name, 'connects', { key, epoch })
    const incarnation = incarnations.of(process)
    if (!incarnation) return
    count('connects')
    if (!incarnations.isGood(incarnation))
      violate(`anytime_ no socket without a lease: ${process.name} connects ${key}`)
    const owner = db.owners.get(key)
    if (owner?.runnerId !== incarnation.runnerId || owner.epoch !== epoch)
      violate(
        `anytime_ only an owner connects: ${process.name} connects ${key} under epoch ${epoch}, but ` +
          `${owner?.runnerId ?? 'nobody'} has epoch ${owner?.epoch}`,
      )
    this.#mindsConflict(client as SimulatedSocket)
    const before = this.#dialled.get(key)
    if (!before?.wasOpened || before.epoch !== epoch) this.#lateLogins.note(key, this.#witness.time.nowMs)
    this.#dialled.set(key, client as SimulatedSocket)
    dialledEpoch.set(key, Math.max(dialledEpoch.get(key) ?? 0, epoch))
  }

  #mindsConflict({ key, epoch, process }: SimulatedSocket): void {
    const { db, time, violate } = this.#witness
    const replaced = this.#replaced.get(key)
    if (replaced?.epoch !== epoch) return
    const { resume = 0, restart = 0 } = db.sessions.get(nameOfKey(key))?.session.want ?? {}
    if (Math.max(resume, restart) <= replaced.generation)
      violate(
        `anytime_ no reconnect after a conflict: ${process.name} connects ${key} again, ` +
          `${Math.round(time.nowMs - replaced.atMs)} ms after a foreigner replaced it, and nobody asked for it`,
      )
  }

  loggedIn({ key }: Device, client: WhatsAppClient): void {
    const { process, epoch, isLive } = client as SimulatedSocket
    const { trace, incarnations, count, violate } = this.#witness
    trace.note('whatsapp', 'logged in', { key, by: process.name, epoch, isLive })
    count('logins')
    // Sent before its runner gave the connection up, or before it froze: nobody acts on it.
    if (!isLive || !process.runs) return count('late logins')
    const other = incarnations.elsewhere(key, process)
    if (other)
      violate(
        `anytime_ no two sockets under valid epochs: ${key} at ${process.name} (epoch ${epoch}) and at ` +
          `${other.process.name} (epoch ${other.epoch})`,
      )
  }

  /** The runner heard of it: from here on it must know better. */
  replacedByForeigner({ key, process, epoch }: SimulatedSocket): void {
    const { trace, db, time, count } = this.#witness
    trace.note('foreigner', 'replaces', { key, at: process.name, epoch })
    count('foreigners')
    // A login of its own that came late would look the same: it may try once more.
    if (this.#lateLogins.explain(key, time.nowMs)) return
    const generation = db.sessions.get(nameOfKey(key))?.session.want.generation ?? 0
    this.#replaced.set(key, { epoch, generation, atMs: time.nowMs })
  }

  receipted({ key }: Device, { id }: Inbound): void {
    this.#witness.count('received')
    if (!this.#witness.durable(key).kept.has(id))
      this.#witness.violate(`anytime_ nothing receipted that is not durable: ${id} of ${key}`)
  }

  accepted({ key, accepted }: Device, { id, to, text, chain, counter }: Outbound): void {
    const { count, violate, db } = this.#witness
    count('sent')
    const again = accepted.find((message) => message.id === id)
    if (again && again.text !== text)
      violate(`anytime_ nothing sent in two forms: ${id} of ${key} is another message than before`)
    const placeOf = (message: { id: string }): string => db.places.get(`${key} ${message.id}`) ?? ''
    const later = accepted.find((message) => message.to === to && placeOf(message) > placeOf({ id }))
    if (later && !again)
      violate(`anytime_ in order: ${id} of ${key} to ${to} comes after ${later.id}, which was accepted later`)
    const before = accepted.findLast((message) => message.chain === chain)
    if (before && before.counter >= counter)
      violate(
        `anytime_ no ratchet rewound: ${key} uses number ${counter} of chain ${chain} for ${id} after ` +
          `${before.counter} for ${before.id}`,
      )
    if ((this.#witness.durable(key).sent.get(chain) ?? 0) < counter)
      violate(`anytime_ nothing sent whose ratchet step is not durable: ${id} of ${key}`)
  }

  unreadable(key: SessionKey, { id }: Inbound): void {
    this.#witness.violate(`anytime_ everything can be read: ${id} of ${key} can't be decrypted any more`)
  }
}
