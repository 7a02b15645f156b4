import type { SessionKey } from '#shared/ids.ts'
import type { CloseReport } from '#runner/whatsapp/socket.ts'
import type { Dice } from './dice.ts'
import type { Faults } from './faults.ts'
import { Link, type LinkClient } from './link.ts'
import { ciphertextOf } from './ratchet.ts'
import type { VirtualTime } from './virtual-time.ts'

/** A message that WhatsApp took for a device. It is delivered until it was receipted. */
export interface Inbound {
  id: string
  from: string
  /** Of the sender's chain to this device. */
  counter: number
  text: string
  t: number
  ciphertext: Uint8Array
}

export interface Outbound {
  id: string
  to: string
  text: string
  chain: string
  counter: number
}

/** What a client of WhatsApp hears. */
export interface WhatsAppClient extends LinkClient {
  challenged(): void
  opened(): void
  received(message: Inbound): void
  acknowledged(id: string): void
  delivered(id: string): void
}

/** Sees what WhatsApp sees. */
export interface WhatsAppWitness {
  dialled(device: Device, client: WhatsAppClient): void
  loggedIn(device: Device, client: WhatsAppClient): void
  receipted(device: Device, message: Inbound): void
  accepted(device: Device, message: Outbound): void
}

/** One linked device as WhatsApp knows it. */
export class Device {
  readonly key: SessionKey
  readonly jid: string
  current: Link | undefined
  /** Everything that was ever taken for it, in order, and what of it is not receipted. */
  readonly inbound: Inbound[] = []
  readonly queue = new Map<string, Inbound>()
  /** What it sent and WhatsApp took; ids may come again. */
  readonly accepted: Outbound[] = []
  /** Somebody else holds a copy of its credentials and is connected. */
  foreign = false
  foreigners = 0
  readonly #counters = new Map<string, number>()

  constructor(key: SessionKey, jid: string) {
    this.key = key
    this.jid = jid
  }

  nextCounter(from: string): number {
    const counter = (this.#counters.get(from) ?? 0) + 1
    this.#counters.set(from, counter)
    return counter
  }
}

interface Deps {
  time: VirtualTime
  dice: Dice
  faults: () => Faults
  witness: WhatsAppWitness
}

/** WhatsApp does not wait longer for a login (an assumption: a server ends a handshake that does not go on). */
const LOGIN_STALL_MS = 30_000

const REPLACED: CloseReport = {
  by: 'server',
  status: 440,
  message: 'Stream Errored (conflict)',
  conflict: 'replaced',
}
const REFUSED: readonly CloseReport[] = [
  { by: 'server', http: 503, message: 'Unexpected server response: 503' },
  { by: 'server', http: 429, message: 'Unexpected server response: 429' },
  { by: 'server', status: 503, message: 'Stream Errored (service unavailable)' },
]
export const LOST: readonly CloseReport[] = [
  { by: 'server', status: 428, message: 'Connection Closed' },
  { by: 'server', status: 408, message: 'Connection was lost' },
  { by: 'server', status: 515, message: 'Stream Errored (restart required)' },
  { by: 'server', status: 503, message: 'Stream Errored (service unavailable)' },
]

/**
 * WhatsApp as far as owning a device matters: one connection per device, the newest wins and the older one is told
 * `replaced`; what is sent to a device is queued and delivered, in order, on every connection anew, until it was receipted;
 * what a device sends is acknowledged.
 */
export class WhatsApp {
  readonly devices = new Map<SessionKey, Device>()
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  addDevice(key: SessionKey, jid: string): Device {
    const device = new Device(key, jid)
    this.devices.set(key, device)
    return device
  }

  deviceOf(key: SessionKey): Device {
    const device = this.devices.get(key)
    if (!device) throw new Error(`there is no device for ${key}`)
    return device
  }

  /** A client begins a connection: it is refused, never answered, or challenged to log in. */
  dial(key: SessionKey, client: WhatsAppClient): Link {
    const { time, dice, witness } = this.#deps
    const device = this.deviceOf(key)
    const link: Link = new Link(time, dice, client, () => {
      if (device.current === link) device.current = undefined
    })
    witness.dialled(device, client)
    const { refuse, silent, stallLogin } = this.#deps.faults()
    if (dice.chance(silent)) return link
    const refused = dice.chance(refuse)
    link.toServer(() => {
      if (refused) link.closeByServer(dice.pick(REFUSED))
      else {
        link.toClient(() => client.challenged())
        if (dice.chance(stallLogin)) link.stall(dice.between(500, LOGIN_STALL_MS))
      }
    })
    return link
  }

  logIn(key: SessionKey, link: Link, client: WhatsAppClient): void {
    const device = this.deviceOf(key)
    this.#deps.witness.loggedIn(device, client)
    if (device.current !== link) device.current?.closeByServer(REPLACED)
    device.current = link
    device.foreign = false
    link.isOpen = true
    link.toClient(() => client.opened())
    for (const message of device.queue.values()) this.#push(link, client, message)
  }

  /** Somebody else logs in with a copy of the credentials. It only takes the place: what it would read is another story. */
  foreignLogin(key: SessionKey): void {
    const device = this.deviceOf(key)
    const link = device.current
    device.foreign = true
    device.foreigners++
    if (!link) return
    link.takenByForeigner = true
    link.closeByServer(REPLACED)
  }

  /** A peer sends a text to the device. */
  send(key: SessionKey, from: string, id: string, text: string): void {
    const device = this.deviceOf(key)
    const counter = device.nextCounter(from)
    const t = Math.floor(this.#deps.time.nowMs / 1000)
    const message = { id, from, counter, text, t, ciphertext: ciphertextOf(from, counter, id) }
    device.inbound.push(message)
    device.queue.set(id, message)
    const link = device.current
    if (link) this.#push(link, link.client as WhatsAppClient, message)
  }

  receipt(key: SessionKey, id: string): void {
    const device = this.deviceOf(key)
    const message = device.queue.get(id)
    if (!message) return
    this.#deps.witness.receipted(device, message)
    device.queue.delete(id)
  }

  /** The device sends; the acknowledgement comes back, and later the other side's receipt. */
  accept(key: SessionKey, link: Link, client: WhatsAppClient, message: Outbound): void {
    const device = this.deviceOf(key)
    this.#deps.witness.accepted(device, message)
    device.accepted.push(message)
    link.toClient(() => client.acknowledged(message.id))
    const { time, dice } = this.#deps
    time.after(dice.between(50, 5_000), () => {
      const now = device.current
      if (now) now.toClient(() => (now.client as WhatsAppClient).delivered(message.id))
    })
  }

  #push(link: Link, client: WhatsAppClient, message: Inbound): void {
    link.toClient(() => client.received(message))
  }
}
