import { testBodies } from '#test/bodies.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { systemClock, type Clock } from '#shared/clock.ts'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import { parseSessionId, sessionKey, type SessionKey } from '#shared/ids.ts'
import { systemRandom } from '#shared/random.ts'
import type { Owner } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'
import { noUnlink, recordedLog, socketOf, type Line } from '#runner/runner.fixture.ts'
import type { RunnerSettings } from '#runner/runner-deps.ts'
import { Runner } from '#runner/runner.ts'
import { WATCHDOG_TIMES } from '#runner/session/watchdog.ts'
import type { CloseReport, OpenSocket, SocketEvents } from '#runner/whatsapp/socket.ts'
import { prepareStores } from '#test/bench/prepare.ts'
import type { SeededSession } from '#test/whatsapp/seed.ts'

const TENANT = 'acme'

/** The machine's clock with a wall clock that a test may turn, as an administrator or NTP would. */
export interface TurnedClock extends Clock {
  turnWall(ms: number): void
}

export function turnedClock(): TurnedClock {
  let offsetMs = 0
  return {
    ...systemClock,
    nowMs: () => systemClock.nowMs() + offsetMs,
    turnWall: (ms) => {
      offsetMs += ms
    },
  }
}

/** A runner of this very process, and the connections that it believes to have. */
export interface LocalRunner {
  readonly runner: Runner
  readonly lines: readonly Line[]
  readonly open: ReadonlyMap<SessionKey, SocketEvents>
}

export interface LocalFleet {
  readonly stores: Stores
  readonly keys: readonly SessionKey[]
  /** `through` may put faults between the runner and the stores. */
  readonly start: (
    through?: (stores: Stores) => Stores,
    settings?: Partial<RunnerSettings>,
    drained?: () => void,
  ) => Promise<LocalRunner>
  readonly owners: () => Promise<(Owner | undefined)[]>
}

/** Runners in this process on embedded stores, whose connections come up at once; all ends with the test. */
export function useLocalFleet(): (clock: Clock, seeded: readonly SeededSession[]) => Promise<LocalFleet> {
  const endings: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const end of endings.splice(0).toReversed()) await end()
  })
  return async (clock, seeded) => {
    const dir = await mkdtemp(join(tmpdir(), 'mooring-fleet-'))
    endings.push(() => rm(dir, { recursive: true, force: true }))
    const stores = await openEmbeddedStores({ dataDir: join(dir, 'data'), clock, random: systemRandom })
    endings.push(() => stores.close())
    await prepareStores(stores, seeded, join(dir, 'preparation'), { tenant: TENANT })
    const keys = seeded.map((_, at) => sessionKey(TENANT as never, parseSessionId(`s${at}`)))
    let runners = 0
    return {
      stores,
      keys,
      owners: () => Promise.all(keys.map((key) => stores.owners.get(key))),
      async start(through = (whole) => whole, settings = {}, drained = () => undefined) {
        const { log, lines } = recordedLog()
        const open = new Map<SessionKey, SocketEvents>()
        const runner = new Runner({
          bodies: testBodies(),
          stores: through(stores),
          clock,
          random: systemRandom,
          log,
          openSocket: atOnce(open),
          unlinkDevice: noUnlink,
          drained,
          settings: {
            name: `local-${++runners}`,
            version: '0',
            workDir: join(dir, `work-${runners}`),
            lease: { renewEveryMs: 2_500, renewWithinMs: 6_500, leaseForMs: 10_000 },
            watchdog: WATCHDOG_TIMES,
            resyncEveryMs: 120_000,
            connectsPerSecond: 1_000,
            connectingMax: 1_000,
            capacity: 100,
            rebalancePerMinute: 0,
            reconcile: true,
            ...settings,
          },
        })
        endings.push(() => runner.stop())
        await runner.start()
        return { runner, lines, open }
      },
    }
  }
}

/** Connections that are open in the next turn of the event loop and end when they are asked to. */
function atOnce(open: Map<SessionKey, SocketEvents>): OpenSocket {
  return ({ state, events }) => {
    const { key } = state
    let isOver = false
    const over = (report: CloseReport): void => {
      if (isOver) return
      isOver = true
      if (open.get(key) === shown) open.delete(key)
      events.closed(report)
    }
    const shown: SocketEvents = { ...events, closed: over }
    setImmediate(() => {
      if (isOver) return
      open.set(key, shown)
      events.open({ jid: '4915100000000:1@s.whatsapp.net' })
    })
    return socketOf({
      handOver: async () => over({ by: 'us', message: 'handed over' }),
      drop: (by, why) => over({ by, message: why }),
    })
  }
}
