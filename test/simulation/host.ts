import { testBodies } from '#test/bodies.ts'
import type { RunnerId } from '#shared/ids.ts'
import { toError } from '#shared/errors.ts'
import type { Stores } from '#shared/store/stores.ts'
import { noUnlink } from '#runner/runner.fixture.ts'
import type { RunnerSettings } from '#runner/runner-deps.ts'
import { Runner } from '#runner/runner.ts'
import { WATCHDOG_TIMES } from '#runner/session/watchdog.ts'
import type { OpenSocket } from '#runner/whatsapp/socket.ts'
import type { Dice } from './dice.ts'
import { Disk, workingCopiesOn } from './disk.ts'
import type { Faults } from './faults.ts'
import type { MemoryDatabase } from './memory/database.ts'
import { SimulatedProcess } from './process.ts'
import { keyedMutex, SimulatedSocket } from './simulated-socket.ts'
import type { StoreNetwork } from './store-network.ts'
import type { Trace } from './trace.ts'
import type { VirtualTime } from './virtual-time.ts'
import type { WhatsApp } from './whatsapp.ts'
import type { Witness } from './witness.ts'

/** What production uses (shared/config.ts). */
export const LEASE = { renewEveryMs: 2_500, renewWithinMs: 6_500, leaseForMs: 10_000 } as const
/** Cloud Run kills this long after SIGTERM. */
const KILL_AFTER_MS = 10_000

/** A bug that is put in on purpose, between a runner and its world. */
export interface Sabotage {
  stores?: (stores: Stores, process: SimulatedProcess) => Stores
  openSocket?: (openSocket: OpenSocket) => OpenSocket
}

export interface World {
  time: VirtualTime
  trace: Trace
  dice: Dice
  faults: () => Faults
  db: MemoryDatabase
  /** The stores as control reaches them: at once and without faults. */
  control: Stores
  network: StoreNetwork
  whatsapp: WhatsApp
  witness: Witness
  sabotage: Sabotage
  /** How far the store's clock is off, and when it was set last. */
  storeClock: { offMs: number; setAtMs: number }
  /** It was set a moment ago: who starts now and has no earlier look can't know better. */
  isTooEarly: () => boolean
  /** The operating system tells the others when a process is gone, as the embedded stores know it. */
  provesDead: boolean
  settings: Pick<RunnerSettings, 'resyncEveryMs' | 'rebalancePerMinute'>
}

/** A place where one runner after the other lives, with a disk that may survive them. */
export class Host {
  readonly name: string
  readonly #world: World
  readonly #dice: Dice
  readonly #disk = new Disk()
  #process: SimulatedProcess | undefined
  #runner: Runner | undefined
  #lives = 0
  #isStarting = false

  constructor(world: World, name: string) {
    this.#world = world
    this.name = name
    this.#dice = world.dice.for(name)
  }

  get process(): SimulatedProcess | undefined {
    return this.#process?.alive ? this.#process : undefined
  }

  /** It has not had its first look at the others yet. */
  get isStarting(): boolean {
    return this.process !== undefined && this.#isStarting
  }

  get runner(): Runner | undefined {
    return this.process && this.#runner
  }

  /** A new process, on the disk as it was left, on a wiped one, or (while the old one still runs) on a disk of its own. */
  start(disk: Disk = this.#disk): void {
    const { time, trace, network, witness, sabotage, settings } = this.#world
    const process = new SimulatedProcess(time, `${this.name}.${++this.#lives}`)
    const dice = this.#dice.for(`life ${this.#lives}`)
    if (dice.chance(this.#world.faults().wipe)) disk.wipe()
    const stores = network.connect(process)
    const runner = new Runner({
      bodies: testBodies(),
      stores: sabotage.stores?.(stores, process) ?? stores,
      clock: process.clock,
      random: dice.random,
      log: trace.log(process.name),
      openSocket: this.#openSocket(process, dice.for('sockets')),
      unlinkDevice: noUnlink,
      workingCopies: workingCopiesOn(disk, process),
      soon: process.soon,
      settings: {
        name: this.name,
        version: '0',
        workDir: '',
        lease: LEASE,
        watchdog: WATCHDOG_TIMES,
        connectsPerSecond: 10,
        connectingMax: 50,
        capacity: 100,
        reconcile: true,
        ...settings,
      },
    })
    this.#process = process
    this.#runner = runner
    witness.incarnations.began(process, runner.id)
    trace.note(process.name, 'starts', { runnerId: runner.id })
    process.atEnd(() => this.#ended(process, runner.id as RunnerId))
    // What cannot start ends, and is started again: by the supervisor.
    this.#isStarting = true
    runner.start().then(
      () => {
        if (this.#process === process) this.#isStarting = false
      },
      (error: unknown) => {
        trace.note(process.name, 'could not start', { error: toError(error) })
        process.crash()
      },
    )
  }

  #openSocket(process: SimulatedProcess, dice: Dice): OpenSocket {
    const { whatsapp, witness, sabotage, faults } = this.#world
    const byAddress = keyedMutex()
    const open: OpenSocket = (ask) => {
      const socket: SimulatedSocket = new SimulatedSocket(
        {
          process,
          whatsapp,
          byAddress,
          freshChain: () => dice.random.id(),
          noticedAfterMs: () => (dice.chance(faults().halfOpen) ? undefined : dice.between(0, 3_000)),
          unreadable: (key, message) => witness.atWhatsApp.unreadable(key, message),
          ended: (ended) => witness.incarnations.closed(ended),
          replacedByForeigner: (heard) => witness.atWhatsApp.replacedByForeigner(heard),
        },
        ask,
      )
      witness.incarnations.opened(socket)
      return socket
    }
    return sabotage.openSocket?.(open) ?? open
  }

  #ended(process: SimulatedProcess, id: RunnerId): void {
    const { trace, db, provesDead } = this.#world
    trace.note(process.name, 'is gone')
    if (provesDead) db.provenDead.add(id)
    this.startAfter(this.#dice.between(500, 15_000))
  }

  /** Nobody starts right after the store's clock was set. */
  startAfter(ms: number): void {
    const { time, isTooEarly } = this.#world
    time.after(ms, () => {
      if (this.process) return
      if (isTooEarly()) this.startAfter(1_000)
      else this.start()
    })
  }

  crash(): void {
    this.process?.crash()
  }

  /** SIGTERM; with `first` a new process is up before the old one goes, as in a rolling deploy. */
  roll(first: boolean): void {
    const { process, runner } = this
    if (!process || !runner) return
    if (first && !this.#world.isTooEarly()) this.start(new Disk())
    this.#end(process, runner)
  }

  /** Somebody asked the runner to drain; when it is done it is ended. */
  drain(): void {
    const { runner } = this
    if (!runner) return
    void this.#world.control.runners.drain(runner.id as RunnerId).catch(() => undefined)
    const { process } = this
    this.#world.time.after(this.#dice.between(5_000, 20_000), () => {
      if (process?.alive) this.#end(process, runner)
    })
  }

  #end(process: SimulatedProcess, runner: Runner): void {
    const { time, trace } = this.#world
    trace.note(process.name, 'SIGTERM')
    process.deliver(() => {
      runner.stop().then(
        () => process.crash(),
        (error: unknown) => {
          trace.note(process.name, 'did not end in order', { error: toError(error) })
          process.crash()
        },
      )
    })
    time.after(KILL_AFTER_MS, () => process.crash())
  }
}
