import type { SessionKey } from '#shared/ids.ts'
import type { Dice } from './dice.ts'
import type { Host, World } from './host.ts'
import { LOST } from './whatsapp.ts'

/** Lets the faults of hosts and connections come, at random times, until it clears. */
export class Weather {
  readonly #world: World
  readonly #dice: Dice
  readonly #hosts: readonly Host[]
  #cleared = false

  constructor(world: World, hosts: readonly Host[]) {
    this.#world = world
    this.#dice = world.dice.for('weather')
    this.#hosts = hosts
  }

  begin(keys: readonly SessionKey[]): void {
    const faults = this.#world.faults()
    for (const host of this.#hosts) {
      this.#again(faults.crashEveryMs, () => host.crash())
      this.#again(faults.freezeEveryMs, () => this.#freeze(host))
      this.#again(faults.partitionEveryMs, () => this.#partition(host))
      this.#again(faults.rollEveryMs, () => host.roll(this.#dice.chance(0.7)))
      this.#again(faults.drainEveryMs, () => host.drain())
      this.#again(faults.wallStepEveryMs, () => this.#stepWall(host))
    }
    this.#again(faults.storeStepEveryMs, () => this.#stepStore())
    for (const key of keys) {
      this.#again(faults.cutEveryMs, () => this.#cut(key))
      this.#again(faults.stallEveryMs, () => this.#stall(key))
      this.#again(faults.foreignEveryMs, () => this.#world.whatsapp.foreignLogin(key))
    }
  }

  /** No fault begins any more; those that last end within their time. */
  clear(): void {
    this.#cleared = true
  }

  #again(everyMs: number, act: () => void): void {
    if (everyMs === Infinity) return
    this.#world.time.after(this.#dice.waitMs(everyMs), () => {
      if (this.#cleared) return
      act()
      this.#again(everyMs, act)
    })
  }

  /** From a hiccup to well beyond the lease. */
  #lasting(): number {
    return this.#dice.chance(0.5) ? this.#dice.between(100, 6_000) : this.#dice.between(6_000, 30_000)
  }

  #freeze(host: Host): void {
    const { time, trace, witness } = this.#world
    const { process } = host
    if (!process || process.frozen) return
    const forMs = this.#lasting()
    trace.note(process.name, 'freezes', { forMs: Math.round(forMs) })
    process.freeze()
    time.after(forMs, () => {
      trace.note(process.name, 'thaws')
      process.thaw(this.#dice.chance(0.5) ? 'timer' : 'io')
      witness.incarnations.thawed(process)
    })
  }

  #partition(host: Host): void {
    const { time, trace, network } = this.#world
    const { process } = host
    if (!process) return
    const forMs = this.#lasting()
    trace.note(process.name, 'is cut off from the store', { forMs: Math.round(forMs) })
    network.partition(process)
    time.after(forMs, () => {
      trace.note(process.name, 'reaches the store again')
      network.heal(process)
    })
  }

  /** Either way. */
  #step(): number {
    return this.#dice.between(-1, 1) * (this.#dice.chance(0.5) ? 30_000 : 86_400_000)
  }

  #stepStore(): void {
    if (this.#hosts.some((host) => host.isStarting)) return
    const { storeClock, time, trace } = this.#world
    storeClock.offMs += Math.round(this.#step())
    storeClock.setAtMs = time.nowMs
    trace.note('store', 'clock is set', { offMs: storeClock.offMs })
  }

  #stepWall(host: Host): void {
    const { process } = host
    if (!process) return
    process.wallOffsetMs += this.#step()
    this.#world.trace.note(process.name, 'wall clock steps', { by: Math.round(process.wallOffsetMs) })
  }

  #cut(key: SessionKey): void {
    const link = this.#world.whatsapp.deviceOf(key).current
    if (!link) return
    this.#world.trace.note('network', 'connection is cut', { key, at: link.client.process.name })
    link.cut(this.#dice.pick(LOST))
  }

  #stall(key: SessionKey): void {
    const link = this.#world.whatsapp.deviceOf(key).current
    if (!link) return
    const forMs = this.#dice.chance(0.7)
      ? this.#dice.between(500, 20_000)
      : this.#dice.between(60_000, 200_000)
    this.#world.trace.note('network', 'connection stalls', { key, forMs: Math.round(forMs) })
    link.stall(forMs)
  }
}
