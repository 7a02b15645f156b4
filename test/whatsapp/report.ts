import { companions, lidOf, pnOf } from './accounts.ts'
import { resetLedger, type Ledger } from './ledger.ts'
import type { RetryNote } from './world.ts'
import type { Account, Device, World } from './world.ts'

/** One device in the report. Times are milliseconds since 1970, gaps are milliseconds. */
export interface DeviceReport extends Omit<Ledger, 'closedAtMs'> {
  readonly jid: string
  readonly lid: string
  readonly phone: string
  readonly device: number
  readonly simulated: boolean
  readonly linked: boolean
  readonly createdAt: number
  readonly lastSeen: number
  readonly preKeysAvailable: number
  /** Messages that wait for a receipt. */
  readonly queued: number
  /** Receipts and notifications that wait for an acknowledgement. */
  readonly queuedOther: number
}

export interface PhoneReport {
  readonly phone: string
  readonly lid: string
  readonly name: string
  /** Linked companions, without the phone itself. */
  readonly linkedDevices: readonly {
    device: number
    jid: string
    createdAt: number
    lastSeen: number
    simulated: boolean
  }[]
  /** The most companions that were linked at the same time, ever. */
  readonly linkedMax: number
}

/** Everything the oracle knows. */
export interface Report {
  readonly at: number
  readonly devices: Record<string, DeviceReport>
  readonly phones: Record<string, PhoneReport>
  readonly totals: {
    readonly openConnections: number
    readonly pairings: number
    readonly refusedLogins: number
    /** WebSockets that were opened so far, logged in or not. */
    readonly connections: number
    readonly refusedUpgrades: number
    readonly logins: number
    readonly replaced: number
    readonly accepted: number
    readonly duplicates: number
    readonly delivered: number
    readonly redelivered: number
    readonly receipted: number
    readonly retries: number
    readonly queued: number
    /** How often the page of the web client was read. */
    readonly pageReads: number
  }
  /** What clients that were not linked acknowledged, by the type of the notification. */
  readonly acknowledged: Record<string, number>
  /** Every retry receipt: `by` could not decrypt what `sender` had sent. */
  readonly retries: readonly RetryNote[]
  /** Undecryptable frames and bugs of the stand-in; empty in a healthy run. */
  readonly troubles: readonly string[]
  /** Queries that the stand-in does not know and answered empty, by xmlns. */
  readonly unanswered: Record<string, number>
}

const COUNTERS = [
  'logins',
  'replaced',
  'accepted',
  'duplicates',
  'delivered',
  'redelivered',
  'receipted',
] as const

/** The report as it is now. */
export function report(world: World): Report {
  const devices = [...world.everyDevice.values()].map((device) => deviceReport(world, device))
  const sum = (name: (typeof COUNTERS)[number] | 'queued'): number =>
    devices.filter(({ simulated }) => !simulated).reduce((total, device) => total + device[name], 0)
  return {
    at: Date.now(),
    devices: Object.fromEntries(devices.map((device) => [device.jid, device])),
    phones: Object.fromEntries(
      [...world.accounts.values()].map((account) => [account.phone, phoneReport(account)]),
    ),
    totals: {
      openConnections: [...world.lines].filter(({ device }) => device).length,
      pairings: world.log.pairings,
      refusedLogins: world.log.refusedLogins,
      connections: world.log.connections,
      refusedUpgrades: world.log.refusedUpgrades,
      logins: sum('logins'),
      replaced: sum('replaced'),
      accepted: sum('accepted'),
      duplicates: sum('duplicates'),
      delivered: sum('delivered'),
      redelivered: sum('redelivered'),
      receipted: sum('receipted'),
      retries: world.log.retries.length,
      queued: sum('queued'),
      pageReads: world.log.pageReads,
    },
    acknowledged: Object.fromEntries(world.log.acknowledged),
    retries: world.log.retries,
    troubles: world.log.troubles,
    unanswered: Object.fromEntries(world.log.unanswered),
  }
}

export function deviceReport(world: World, device: Device): DeviceReport {
  const { closedAtMs: _, ...ledger } = device.ledger
  const queued = device.queue.count('message')
  return {
    jid: pnOf(device),
    lid: lidOf(device),
    phone: device.account.phone,
    device: device.id,
    simulated: device.simulated !== undefined,
    linked: world.accounts.get(device.account.phone)?.devices.get(device.id) === device,
    createdAt: device.createdAt,
    lastSeen: device.lastSeen,
    ...ledger,
    preKeysAvailable: device.keys?.preKeys.size ?? 0,
    queued,
    queuedOther: device.queue.waiting.length - queued,
  }
}

export function phoneReport(account: Account): PhoneReport {
  return {
    phone: account.phone,
    lid: account.lid,
    name: account.name,
    linkedDevices: companions(account).map((device) => ({
      device: device.id,
      jid: pnOf(device),
      createdAt: device.createdAt,
      lastSeen: device.lastSeen,
      simulated: device.simulated !== undefined,
    })),
    linkedMax: account.companionsMax,
  }
}

/** Sets all counters back; accounts, devices, queues and connections stay. */
export function resetReport(world: World): void {
  for (const device of world.everyDevice.values()) resetLedger(device.ledger)
  for (const account of world.accounts.values()) account.companionsMax = companions(account).length
  world.log.messages.splice(0)
  world.log.retries.splice(0)
  world.log.troubles.splice(0)
  world.log.unanswered.clear()
  world.log.acknowledged.clear()
  Object.assign(world.log, {
    connections: 0,
    refusedUpgrades: 0,
    refusedLogins: 0,
    pairings: 0,
    pageReads: 0,
  })
}
