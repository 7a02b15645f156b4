import { testBodies } from '#test/bodies.ts'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { sessionKey, type RunnerId, type SessionId, type TenantId } from '#shared/ids.ts'
import { unseenStatus } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'
import { noUnlink } from '#runner/runner.fixture.ts'
import { Runner } from '#runner/runner.ts'
import { WATCHDOG_TIMES } from '#runner/session/watchdog.ts'
import { Disk, workingCopiesOn } from './disk.ts'
import { LEASE } from './host.ts'
import { MemoryDatabase } from './memory/database.ts'
import { memoryStores } from './memory/stores.ts'
import { SimulatedProcess, wallMs } from './process.ts'
import { Trace } from './trace.ts'
import { VirtualTime } from './virtual-time.ts'

const RESYNC_EVERY_MS = 120_000
const OTHER = 'other' as RunnerId

export interface FullPass {
  sessions: number
  /** CPU time of one full pass: everything read anew, every session decided, nothing done. */
  cpuMs: number
  /** How much more heap is held after the last pass than after the first. */
  heapGrowthBytes: number
}

/**
 * Measures the full pass of one runner over sessions with nothing to do: half are connected at another runner, half are stopped
 * as they are wanted. The stores answer at once, so this is what the runner itself needs.
 */
export async function fullPassCpuMs(sessions = 10_000, passes = 5): Promise<FullPass> {
  const time = new VirtualTime()
  const db = new MemoryDatabase(() => wallMs(time))
  const stores = memoryStores(db)
  await fillWithNothingToDo(stores, sessions)
  const simulated = new SimulatedProcess(time, 'one')
  const runner = new Runner({
    bodies: testBodies(),
    stores,
    clock: simulated.clock,
    random: { next: () => 0.5, id: () => 'aaaaaaaaaaaaaaaa' },
    log: new Trace(time).log('one'),
    openSocket: () => {
      throw new Error('there is nothing to connect')
    },
    unlinkDevice: noUnlink,
    workingCopies: workingCopiesOn(new Disk(), simulated),
    soon: simulated.soon,
    settings: {
      name: 'one',
      version: '0',
      workDir: '',
      lease: LEASE,
      watchdog: WATCHDOG_TIMES,
      resyncEveryMs: RESYNC_EVERY_MS,
      connectsPerSecond: 10,
      connectingMax: 50,
      capacity: 500,
      rebalancePerMinute: 0,
      reconcile: true,
    },
  })
  let beat = 1
  const otherRenews = (): void => {
    void stores.runners.renew(lease(++beat))
    time.after(LEASE.renewEveryMs, otherRenews)
  }
  otherRenews()
  const started = runner.start()
  await time.runUntil(RESYNC_EVERY_MS / 2)
  await started

  // Between two passes goes by what a pass costs, and what a quiet runner costs; the latter is measured beside it.
  const quietMs = await cpuOf(() => time.runUntil(time.nowMs + 1_000))
  const measured: number[] = []
  const heap: number[] = []
  for (let pass = 1; pass <= passes; pass++) {
    await time.runUntil(pass * RESYNC_EVERY_MS - 500)
    measured.push(await cpuOf(() => time.runUntil(pass * RESYNC_EVERY_MS + 500)))
    heap.push(heapUsed())
  }
  if (runner.held > 0) throw new Error('a pass with nothing to do took up a session')
  simulated.crash()
  const median = measured.toSorted((a, b) => a - b)[Math.floor(passes / 2)] ?? Infinity
  const heapGrowthBytes = (heap.at(-1) ?? 0) - (heap[0] ?? 0)
  return { sessions, cpuMs: Math.max(0, median - quietMs), heapGrowthBytes }
}

const lease = (beat: number) => ({
  id: OTHER,
  beat,
  leaseForMs: LEASE.leaseForMs,
  draining: false,
  capacity: 10_000,
  held: 5_000,
  version: '0',
  startedAt: 0,
})

/** How many sessions are written at the same time: a store that commits in groups takes them together. */
const FILLED_AT_ONCE = 250

/** Sessions that need nothing of a second runner: half are connected at another one, half are stopped as they are wanted. */
export async function fillWithNothingToDo(stores: Stores, sessions: number): Promise<void> {
  await stores.runners.renew(lease(1))
  for (let first = 0; first < sessions; first += FILLED_AT_ONCE) {
    const count = Math.min(FILLED_AT_ONCE, sessions - first)
    await Promise.all(Array.from({ length: count }, (_, more) => addSession(stores, first + more)))
  }
}

async function addSession({ sessions, owners }: Stores, number: number): Promise<void> {
  const tenant = 't' as TenantId
  const id = `s${number}` as SessionId
  const key = sessionKey(tenant, id)
  const isRunning = number % 2 === 0
  await sessions.create({
    tenant,
    id,
    want: { state: isRunning ? 'running' : 'stopped', metadata: { name: `number ${number}` } },
    createdAt: 1,
  })
  const owner = await owners.claim({ key, runnerId: OTHER, expectEpoch: 0, nonce: 'n', nowMs: 1 })
  if (!isRunning) await owners.release({ key, runnerId: OTHER, epoch: owner.epoch, nonce: 'n', nowMs: 2 })
  const status = {
    ...unseenStatus(owner.epoch),
    phase: isRunning ? ('connected' as const) : ('stopped' as const),
    observedGeneration: 1,
    authenticatedAt: 1,
    jid: `49170${number}:1@s.whatsapp.net`,
  }
  await sessions.reportStatus(key, status, 3)
}

export async function cpuOf(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function heapUsed(): number {
  collect()
  return process.memoryUsage().heapUsed
}
