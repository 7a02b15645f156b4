import type { SessionKey } from '#shared/ids.ts'
import type { SimulatedProcess } from './process.ts'
import type { SimulatedSocket } from './simulated-socket.ts'
import type { VirtualTime } from './virtual-time.ts'

/** One process with its runner, as an observer knows it. */
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

interface Deps {
  time: VirtualTime
  renewWithinMs: number
  violate: (what: string) => void
}

/** The processes that are there, their leases by the written rule, and their connections. */
export class Incarnations {
  readonly #deps: Deps
  readonly #all = new Map<SimulatedProcess, Incarnation>()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  get all(): readonly Incarnation[] {
    return [...this.#all.values()]
  }

  of(process: SimulatedProcess): Incarnation | undefined {
    return this.#all.get(process)
  }

  withRunner(runnerId: string | undefined): Incarnation | undefined {
    return this.all.find((one) => one.runnerId === runnerId)
  }

  began(process: SimulatedProcess, runnerId: string): void {
    this.#all.set(process, {
      process,
      runnerId,
      leaseUntilMs: -Infinity,
      stretchSinceMs: Infinity,
      sockets: new Set(),
    })
    process.atEnd(() => this.#all.delete(process))
  }

  opened(socket: SimulatedSocket): void {
    this.of(socket.process)?.sockets.add(socket)
  }

  closed(socket: SimulatedSocket): void {
    this.of(socket.process)?.sockets.delete(socket)
  }

  /** The process knows that the renewal which it sent at `sentMs` succeeded. */
  renewed(process: SimulatedProcess, sentMs: number): void {
    const one = this.of(process)
    if (!one) return
    if (!this.isGood(one)) one.stretchSinceMs = this.#deps.time.nowMs
    one.leaseUntilMs = Math.max(one.leaseUntilMs, sentMs + this.#deps.renewWithinMs)
    this.#watch(one)
  }

  /**
   * Its record is gone, so nobody waits for its lease: it must be through with everything, or be dead for long where another
   * removed it. A claim whose answer was lost may still stand in its name.
   */
  removed(runnerId: string, by: SimulatedProcess): void {
    const one = this.withRunner(runnerId)
    if (!one) return
    if (one.process !== by && this.isGood(one))
      this.#deps.violate(
        `anytime_ no two owners: ${by.name} removes the record of ${one.process.name}, whose lease is good`,
      )
    one.leaseUntilMs = -Infinity
    const [socket] = one.sockets
    if (socket)
      this.#deps.violate(
        `anytime_ no socket outlives its lease: ${one.process.name} has no record any more and has one of ${socket.key}`,
      )
  }

  thawed(process: SimulatedProcess): void {
    const one = this.of(process)
    if (one) this.#watch(one)
  }

  isGood({ leaseUntilMs }: Incarnation): boolean {
    return this.#deps.time.nowMs < leaseUntilMs
  }

  /** An open connection of that session at another process that runs, and whose lease is good. */
  elsewhere(key: SessionKey, process: SimulatedProcess): SimulatedSocket | undefined {
    return this.all
      .filter((other) => other.process !== process && other.process.runs && this.isGood(other))
      .flatMap(({ sockets }) => [...sockets])
      .find((socket) => socket.key === key && socket.link.isOpen)
  }

  #watch(one: Incarnation): void {
    const { time } = this.#deps
    time.at(Math.max(one.leaseUntilMs, one.process.thawedAtMs, time.nowMs) + AT_ONCE_MS, () =>
      this.#look(one),
    )
  }

  #look({ process, leaseUntilMs, sockets }: Incarnation): void {
    const { time, violate } = this.#deps
    if (!process.runs || time.nowMs < Math.max(leaseUntilMs, process.thawedAtMs) + AT_ONCE_MS) return
    const [socket] = sockets
    if (socket)
      violate(
        `anytime_ no socket outlives its lease: ${process.name} still has one of ${socket.key}, ` +
          `${Math.round(time.nowMs - leaseUntilMs)} ms after its lease ran out`,
      )
  }
}
