import type { SessionKey } from '#shared/ids.ts'
import { Dice } from './dice.ts'
import { CALM, drawFaults, type Faults } from './faults.ts'
import { Host, LEASE, type Sabotage, type World } from './host.ts'
import { MemoryDatabase } from './memory/database.ts'
import { memoryStores } from './memory/stores.ts'
import { pairedSession } from './pairing.ts'
import { People } from './people.ts'
import { wallMs } from './process.ts'
import { rebuilt, unsettled } from './rest.ts'
import { StoreNetwork } from './store-network.ts'
import { Trace } from './trace.ts'
import { VirtualTime } from './virtual-time.ts'
import { Weather } from './weather.ts'
import { WhatsApp, type Device } from './whatsapp.ts'
import { Witness } from './witness.ts'

export interface SimulationOptions {
  seed: number
  runners?: number | undefined
  sessions?: number | undefined
  /** Virtual minutes with faults; calm follows until everything rests. */
  minutes?: number | undefined
  sabotage?: Sabotage
  /** In the place of those that the seed draws. */
  faults?: Partial<Faults>
}

export interface SimulationResult {
  seed: number
  /** Absent when all promises were kept. */
  violation?: string
  drawn: Readonly<Record<string, unknown>>
  counts: Readonly<Record<string, number>>
  virtualMs: number
  /** How long the calm took until everything rested. */
  restedAfterMs: number
  turns: number
  trace: Trace
}

/**
 * Once faults stop everything comes to rest within this: a full pass (at most 60 s here), a connection that nobody answers
 * (watchdog: 90 s without a frame), and the longest wait between two attempts (60 s).
 */
const REST_WITHIN_MS = 300_000
const LOOK_EVERY_MS = 2_000
/** A fault that lasts has ended by then. */
const FAULTS_END_WITHIN_MS = 35_000

/** One run: a world from a seed, minutes of faults, then calm. Depends on its options and on nothing else. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const dice = new Dice(options.seed)
  const shape = dice.for('shape')
  const drawn = {
    runners: options.runners ?? shape.whole(1, 4),
    sessions: options.sessions ?? shape.whole(1, 6),
    minutes: options.minutes ?? shape.between(1, 4),
    provesDead: shape.chance(0.3),
    resyncEveryMs: Math.round(shape.between(10_000, 60_000)),
    rebalancePerMinute: shape.chance(0.5) ? 10 : 0,
  }
  const drawnFaults: Faults = { ...drawFaults(dice.for('faults')), ...options.faults }
  let faults = drawnFaults
  const time = new VirtualTime()
  const trace = new Trace(time)
  const storeClock = { offMs: 0, setAtMs: -Infinity }
  const db = new MemoryDatabase(() => wallMs(time) + storeClock.offMs)
  const { renewWithinMs } = LEASE
  const deviceOf = (key: SessionKey): Device => whatsapp.deviceOf(key)
  const witness = new Witness({ time, trace, db, renewWithinMs, deviceOf })
  const whatsapp = new WhatsApp({
    time,
    dice: dice.for('whatsapp'),
    faults: () => faults,
    witness: witness.atWhatsApp,
  })
  const control = memoryStores(db)
  const network = new StoreNetwork({
    time,
    dice: dice.for('store'),
    faults: () => faults,
    stores: control,
    auditor: witness.atStores,
  })
  const { resyncEveryMs, rebalancePerMinute, provesDead } = drawn
  const world: World = {
    time,
    trace,
    dice,
    faults: () => faults,
    db,
    control,
    network,
    whatsapp,
    witness,
    sabotage: options.sabotage ?? {},
    storeClock,
    isTooEarly: () => time.nowMs < storeClock.setAtMs + LEASE.leaseForMs,
    provesDead,
    settings: { resyncEveryMs, rebalancePerMinute },
  }

  const unhandled = (reason: unknown): void =>
    witness.violate(`a rejection is not handled: ${String(reason)}`)
  process.on('unhandledRejection', unhandled)
  try {
    const keys: SessionKey[] = []
    for (let number = 1; number <= drawn.sessions; number++) keys.push(await pairedSession(world, number))
    const hosts = Array.from({ length: drawn.runners }, (_, index) => new Host(world, `host${index + 1}`))
    for (const host of hosts) host.startAfter(dice.between(0, 3_000))
    const people = new People(world, keys)
    const weather = new Weather(world, hosts)
    people.begin()
    weather.begin(keys)
    const isOver = (): boolean => witness.violation !== undefined
    await time.runUntil(time.nowMs + drawn.minutes * 60_000, isOver)

    people.rest()
    weather.clear()
    faults = CALM
    if (!isOver()) await time.runUntil(time.nowMs + FAULTS_END_WITHIN_MS, isOver)
    const calmMs = time.nowMs
    let open = unsettled(world, hosts, keys)
    while (!isOver() && open.length > 0 && time.nowMs < calmMs + REST_WITHIN_MS) {
      await time.runUntil(time.nowMs + LOOK_EVERY_MS, isOver)
      open = unsettled(world, hosts, keys)
    }
    if (!isOver() && open[0] !== undefined) witness.violate(`eventually_ ${open.join('; ')}`)
    for (const key of keys) if (!isOver()) await rebuilt(world, key)
    return {
      seed: options.seed,
      ...(witness.violation === undefined ? {} : { violation: witness.violation }),
      drawn: { ...drawn, ...drawnFaults },
      counts: witness.counts,
      virtualMs: time.nowMs,
      restedAfterMs: time.nowMs - calmMs,
      turns: time.turns,
      trace,
    }
  } finally {
    process.off('unhandledRejection', unhandled)
  }
}
