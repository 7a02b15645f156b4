import type { CloseReport } from '#runner/whatsapp/socket.ts'
import type { Dice } from './dice.ts'
import type { SimulatedProcess } from './process.ts'
import type { VirtualTime } from './virtual-time.ts'

/** Between a runner and WhatsApp, one way. */
const WIRE_MS = { min: 2, max: 60 } as const

/** How the client's end hears of a close that it did not ask for. */
export interface LinkClient {
  readonly process: SimulatedProcess
  closedByWire(report: CloseReport): void
}

/**
 * One TCP connection. Bytes keep their order each way. The two ends close independently: what one end knows the other
 * may learn later, or never.
 */
export class Link {
  readonly client: LinkClient
  readonly #time: VirtualTime
  readonly #dice: Dice
  readonly #closedAtServer: (link: Link) => void
  clientOpen = true
  serverOpen = true
  /** Logged in, and told so. */
  isOpen = false
  takenByForeigner = false
  /** Until then nothing arrives on either side; it arrives afterwards. */
  #stalledUntilMs = 0
  #stalledSinceMs = Infinity
  #lastToServerMs = 0
  #lastToClientMs = 0
  #lost = false

  constructor(time: VirtualTime, dice: Dice, client: LinkClient, closedAtServer: (link: Link) => void) {
    this.#time = time
    this.#dice = dice
    this.client = client
    this.#closedAtServer = closedAtServer
    client.process.atEnd(() => {
      this.clientOpen = false
    })
  }

  toServer(task: () => void): void {
    const arrivesMs = this.#arrival(this.#lastToServerMs)
    this.#lastToServerMs = arrivesMs
    this.#time.at(arrivesMs, () => {
      if (this.serverOpen && !this.#lost) task()
    })
  }

  toClient(task: () => void): void {
    const arrivesMs = this.#arrival(this.#lastToClientMs)
    this.#lastToClientMs = arrivesMs
    this.#time.at(arrivesMs, () => {
      if (this.#lost) return
      this.client.process.deliver(() => {
        if (this.clientOpen) task()
      })
    })
  }

  #arrival(lastMs: number): number {
    const wireMs = this.#dice.between(WIRE_MS.min, WIRE_MS.max)
    return Math.max(Math.max(this.#time.nowMs, this.#stalledUntilMs) + wireMs, lastMs)
  }

  /** The client's end is closed; the server hears of it behind all that was sent. */
  closeByClient(): void {
    if (!this.clientOpen) return
    this.clientOpen = false
    this.toServer(() => this.#closeServerEnd())
  }

  /** The server's end is closed, and the client told why. */
  closeByServer(report: CloseReport): void {
    if (!this.serverOpen) return
    this.#closeServerEnd()
    this.toClient(() => this.#closeClientEnd(report))
  }

  /** The process is gone: the server hears of it after a while, or never. A login that was not through is lost. */
  abandon(afterMs: number | undefined): void {
    this.clientOpen = false
    if (!this.isOpen) this.#lost = true
    if (afterMs !== undefined) this.#time.after(afterMs, () => this.#closeServerEnd())
  }

  /** Both ends lose each other; what is on the way is lost. */
  cut(report: CloseReport): void {
    this.#lost = true
    const { process } = this.client
    this.#time.after(this.#dice.between(0, 3_000), () => this.#closeServerEnd())
    this.#time.after(this.#dice.between(0, 3_000), () => process.deliver(() => this.#closeClientEnd(report)))
  }

  stall(forMs: number): void {
    this.#stalledSinceMs = Math.min(this.#stalledSinceMs, this.#time.nowMs)
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, this.#time.nowMs + forMs)
  }

  /** When the client last got a frame: pings are answered while both ends are there and nothing stalls. */
  get lastFrameMs(): number {
    if (this.#time.nowMs >= this.#stalledUntilMs) this.#stalledSinceMs = Infinity
    return Math.min(this.#time.nowMs, this.#stalledSinceMs, this.#deafSinceMs)
  }

  #deafSinceMs = Infinity

  #closeServerEnd(): void {
    if (!this.serverOpen) return
    this.serverOpen = false
    this.#deafSinceMs = this.#time.nowMs
    this.#closedAtServer(this)
  }

  #closeClientEnd(report: CloseReport): void {
    if (!this.clientOpen) return
    this.clientOpen = false
    this.client.closedByWire(report)
  }
}
