import { join } from 'node:path'
import { expect } from 'vitest'
import { parseSessionId, parseTenantId, sessionKey } from '#shared/ids.ts'
import type { Stores } from '#shared/store/stores.ts'
import { prepareStores } from '#test/bench/prepare.ts'
import type { Api, Session } from '#test/e2e/api.ts'
import { eventually } from '#test/e2e/eventually.ts'
import { TENANT } from '#test/e2e/installation.ts'
import type { LogLine, MooringProcess } from '#test/e2e/mooring-process.ts'
import type { Linked } from '#test/e2e/people.ts'
import type { World } from '#test/e2e/world.ts'
import type { SeededSession } from '#test/whatsapp/seed.ts'
import type { StoreSet } from './store-sets.ts'

/** Short leases, for tests that have to wait until one has run out. */
export const SHORT_LEASE = {
  MOORING_RENEW_EVERY_MS: '800',
  MOORING_RENEW_WITHIN_MS: '3000',
  MOORING_LEASE_FOR_MS: '4500',
} as const

/** Two loaded cores log in some ten sessions in a second; a lease may have to run out before. */
const CONNECTED_WITHIN_MS = 60_000
/** Few, so that a login uploads none and a preparation makes none that it does not need. */
const PRE_KEYS = 100

export interface FleetWish {
  sessions: number
  /** Of every process. */
  env?: Readonly<Record<string, string>>
  pairedAgoMs?: number
  /** Of another fleet, whose credentials this one has too. */
  seeded?: readonly SeededSession[]
}

export interface RunnerProcess extends MooringProcess {
  readonly id: string
}

export interface RunnerSeen {
  id: string
  alive: boolean
  draining: boolean
  held: number
  renewedAt: string
}

/** Paired sessions in one set of stores, one process of control, and as many runners as a test starts. */
export interface Fleet {
  readonly stores: StoreSet['name']
  readonly control: MooringProcess
  readonly api: Api
  readonly linked: readonly Linked[]
  readonly seeded: readonly SeededSession[]
  /** Starts a process that only runs; resolves when it has begun. Each has a working directory of its own. */
  startRunner(env?: Readonly<Record<string, string>>): Promise<RunnerProcess>
  /** The paired ones that it began with. */
  readonly sessions: () => Promise<readonly Session[]>
  readonly runners: () => Promise<readonly RunnerSeen[]>
  /** Waits until every session is connected, as the stand-in and as the API see it; `fits` may ask for more. */
  connected(fits?: (session: Session) => unknown, withinMs?: number): Promise<readonly Session[]>
  /** Looks into the stores as one more process does. */
  withStores<T>(work: (stores: Stores) => Promise<T>): Promise<T>
}

export async function startFleet(world: World, set: StoreSet, wish: FleetWish): Promise<Fleet> {
  const { whatsapp } = world
  const installation = await world.install()
  const place = set.place(installation.dataDir)
  const withStores = async <T>(work: (stores: Stores) => Promise<T>): Promise<T> => {
    const stores = await place.open()
    try {
      return await work(stores)
    } finally {
      await stores.close()
    }
  }
  const seeded = wish.seeded ?? (await whatsapp.seed({ count: wish.sessions, preKeys: PRE_KEYS }))
  const { pairedAgoMs = 0 } = wish
  await withStores((stores) =>
    prepareStores(stores, seeded, join(installation.workDir, 'preparation'), { tenant: TENANT, pairedAgoMs }),
  )
  const env = { MOORING_REBALANCE_PER_MINUTE: '0', ...place.env, ...wish.env }
  const control = await installation.start({
    ...env,
    MOORING_ROLE: 'control',
    MOORING_INBOUND_IDENTITY: '',
  })
  const { api } = control
  const linked = seeded.map(({ phone, jid }, at) => ({ session: `s${at}`, phone, jid }))
  const jids = new Set(linked.map(({ jid }) => jid))
  let runners = 0

  const names = new Set(linked.map(({ session }) => session))
  const sessions = async () => (await api.list()).items.filter(({ id }) => names.has(id))
  return {
    stores: set.name,
    control,
    api,
    linked,
    seeded,
    sessions,
    withStores,
    async startRunner(more) {
      const workDir = join(installation.workDir, `runner-${++runners}`)
      const own = { MOORING_ROLE: 'runner', MOORING_WORK_DIR: workDir }
      const mooring = await installation.start({ ...env, ...own, ...more })
      const { runnerId } = await mooring.says('runner started')
      return { ...mooring, id: String(runnerId) }
    },
    runners: async () => (await api.call<{ items: RunnerSeen[] }>('GET', '/v1/runners')).items,
    async connected(fits = () => true, withinMs = CONNECTED_WITHIN_MS) {
      await eventually(
        'every device to be online',
        async () => Object.values((await whatsapp.report()).devices).filter(({ jid }) => jids.has(jid)),
        (devices) => devices.length === jids.size && devices.every(({ open }) => open === 1),
        withinMs,
      )
      return eventually(
        'every session to be connected',
        sessions,
        (seen) => seen.every((session) => session.status.phase === 'connected' && fits(session)),
        withinMs,
      )
    },
  }
}

export const isOwnedBy =
  (...runners: readonly RunnerProcess[]) =>
  ({ status }: Session): boolean =>
    runners.some(({ id }) => id === status.owner?.runnerId)

/** Under which runner and which epoch each session is. */
export const owners = (sessions: readonly Session[]): Record<string, string> =>
  Object.fromEntries(
    sessions.map(({ id, status }) => [id, `${status.owner?.runnerId} ${status.owner?.epoch}`]),
  )

/** SIGTERM, and what it said of its end: nothing was left behind. */
export async function stopInOrder(runner: MooringProcess): Promise<LogLine> {
  expect(await runner.stop()).toEqual({ code: 0, signal: null })
  const [drained] = runner.log('drained')
  expect(drained).toMatchObject({ left: 0 })
  return drained as LogLine
}

/** What every hand-over and every takeover must leave untouched, as the stand-in saw it. */
export async function expectPeace(world: World, fleet: Fleet): Promise<void> {
  const report = await world.whatsapp.report()
  expect(report.totals).toMatchObject({ replaced: 0, refusedLogins: 0 })
  expect(report.retries).toEqual([])
  expect(report.troubles).toEqual([])
  const devices = fleet.linked.map(({ jid }) => report.devices[jid])
  expect(Math.max(...devices.map((device) => device?.openMax ?? 0))).toBe(1)
  const phases = (await fleet.sessions()).map(({ status }) => status.phase)
  expect(new Set(phases)).toEqual(new Set(['connected']))
}

/**
 * The fencing of the journals, read back: along its seqs no epoch ever decreases, so that not one entry of an owner was
 * accepted after the barrier of a later one.
 */
export async function expectFenced(fleet: Fleet): Promise<void> {
  await fleet.withStores(async (stores) => {
    for (const { session } of fleet.linked) {
      const epochs: number[] = []
      let from = 0
      for (;;) {
        const entries = await stores.journal.read(
          sessionKey(parseTenantId(TENANT), parseSessionId(session)),
          from,
        )
        if (entries.length === 0) break
        epochs.push(...entries.map(({ epoch }) => epoch))
        from = (entries.at(-1)?.seq ?? 0) + 1
      }
      expect(epochs.length).toBeGreaterThan(0)
      expect(epochs).toEqual(epochs.toSorted((a, b) => a - b))
    }
  })
}
