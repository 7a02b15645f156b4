import { testBodies } from '#test/bodies.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Stores } from '#shared/store/stores.ts'
import { noUnlink, recordedLog, socketOf } from '#runner/runner.fixture.ts'
import { Runner } from '#runner/runner.ts'
import type { SessionState } from '#runner/state/session-state.ts'
import { WATCHDOG_TIMES } from '#runner/session/watchdog.ts'
import type { OpenSocket } from '#runner/whatsapp/socket.ts'
import { Dice } from './dice.ts'
import { Disk, workingCopiesOn } from './disk.ts'
import { LEASE, type World } from './host.ts'
import { MemoryDatabase } from './memory/database.ts'
import { memoryStores } from './memory/stores.ts'
import { pairedSession } from './pairing.ts'
import { SimulatedProcess, wallMs } from './process.ts'
import { Trace } from './trace.ts'
import { VirtualTime } from './virtual-time.ts'

const DAY_MS = 24 * 3_600_000

/** What goes wrong with a call, by its name and its first argument: it never answers (true), or it fails like that. */
type Troubles = Map<string, (first: unknown) => boolean | Error>

function troubledStores(stores: Stores, troubles: Troubles): Stores {
  const ports = Object.entries(stores).map(([port, store]: [string, unknown]) => {
    if (typeof store !== 'object' || store === null) return [port, store]
    const methods = Object.entries(store).map(([name, method]: [string, unknown]) => [
      name,
      (...args: unknown[]) => {
        const trouble = troubles.get(`${port}.${name}`)?.(args[0])
        if (trouble instanceof Error) return Promise.reject(trouble)
        return trouble ? new Promise(() => undefined) : (method as (...args: unknown[]) => unknown)(...args)
      },
    ])
    return [port, Object.fromEntries(methods) as unknown]
  })
  return Object.fromEntries(ports) as Stores
}

/** One runner with paired sessions that are wanted running, over stores that are in trouble when a test says so. */
export async function loneRunner(sessions: number) {
  const time = new VirtualTime()
  const trace = new Trace(time)
  const db = new MemoryDatabase(() => wallMs(time))
  const control = memoryStores(db)
  const whatsapp = { addDevice: () => undefined }
  const world = { time, trace, db, control, whatsapp, dice: new Dice(1) } as unknown as World
  const keys: SessionKey[] = []
  const add = async (): Promise<SessionKey> => {
    const key = await pairedSession(world, keys.length + 1)
    keys.push(key)
    return key
  }
  for (let number = 0; number < sessions; number++) await add()
  const process = new SimulatedProcess(time, 'runner')
  const troubles: Troubles = new Map()
  const states: SessionState[] = []
  const { log, lines } = recordedLog()
  /** Connects everything at once, and ends when it is told to. */
  const openSocket: OpenSocket = ({ events, state }) => {
    states.push(state)
    queueMicrotask(() => events.open({ jid: '491700000000:1@s.whatsapp.net' }))
    const end = (message: string): void => events.closed({ by: 'us', message })
    return socketOf({ handOver: async () => end('handed over'), drop: (why) => end(why) })
  }
  const runner = new Runner({
    bodies: testBodies(),
    stores: troubledStores(control, troubles),
    clock: process.clock,
    random: world.dice.for('runner').random,
    log,
    openSocket,
    unlinkDevice: noUnlink,
    workingCopies: workingCopiesOn(new Disk(), process),
    soon: process.soon,
    settings: {
      name: 'runner',
      version: '0',
      workDir: '',
      lease: LEASE,
      watchdog: WATCHDOG_TIMES,
      resyncEveryMs: 60_000,
      connectsPerSecond: 10_000,
      connectingMax: 10_000,
      capacity: 10_000,
      rebalancePerMinute: 0,
      reconcile: true,
    },
  })
  const passMs = (ms: number): Promise<void> => time.runUntil(time.nowMs + ms)
  return {
    control,
    keys,
    troubles,
    passMs,
    add,
    start: async (): Promise<void> => {
      void runner.start()
      await passMs(5_000)
    },
    /** How often the runner wrote a line of this text. */
    lines: (text: string): number => lines.filter(({ message }) => message === text).length,
    /** Of which of them the store says that they are connected. */
    connected: async (): Promise<readonly SessionKey[]> => {
      const all = await Promise.all(keys.map((key) => control.sessions.get(key)))
      return keys.filter((_, at) => all[at]?.status?.phase === 'connected')
    },
    owned: async (): Promise<readonly SessionKey[]> => {
      const all = await Promise.all(keys.map((key) => control.owners.get(key)))
      return keys.filter((_, at) => all[at]?.runnerId !== undefined)
    },
    /** Somebody asks for a snapshot of every session. */
    snapshotAll: async (): Promise<void> => {
      for (const key of keys)
        await control.jobs.create(key, {
          id: `j${key}`,
          kind: 'snapshot',
          args: {},
          state: 'open',
          createdAt: 1,
          by: 'test',
        })
      await passMs(1_000)
    },
    /** Something changes in every session, and a day goes by on the wall: a snapshot of each is due. */
    nextDay: async (): Promise<void> => {
      for (const name of ['one', 'another']) {
        for (const { journal } of states) void journal.set([[name, Uint8Array.of(1)]])
        await passMs(10)
      }
      process.wallOffsetMs += DAY_MS + 3_600_000
    },
    /** How long it took to end in order, and how many sessions were left. */
    stop: async (): Promise<{ left: number; tookMs: number }> => {
      const startMs = time.nowMs
      let ended: { left: number; tookMs: number } | undefined
      void runner.stop().then(({ left }) => (ended = { left, tookMs: time.nowMs - startMs }))
      await time.runUntil(time.nowMs + 60_000, () => ended !== undefined)
      if (!ended) throw new Error('the runner did not end')
      return ended
    },
    [Symbol.dispose]: () => process.crash(),
  }
}
