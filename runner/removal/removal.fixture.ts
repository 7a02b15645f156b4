import { testBodies } from '#test/bodies.ts'
import { keyOf, type SessionKey } from '#shared/ids.ts'
import { seededRandom } from '#shared/random.ts'
import type { Removal } from '#shared/store/removal-store.ts'
import { newSession } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { Disk, workingCopiesOn } from '#test/simulation/disk.ts'
import { SimulatedProcess } from '#test/simulation/process.ts'
import { VirtualTime } from '#test/simulation/virtual-time.ts'
import { memory, recordedLog, socketOf } from '../runner.fixture.ts'
import { Runner } from '../runner.ts'
import { WATCHDOG_TIMES } from '../session/watchdog.ts'
import { isPaired } from '../state/paired.ts'
import { CREDS_KEY } from '../state/record.ts'
import { credsRecord } from '../state/testing.ts'
import type { OpenSocketAsk, UnlinkOutcome, WhatsAppSocket } from '../whatsapp/socket.ts'

const WINDOW_MS = 180_000

/** One runner over stores in memory, and phones that scan at once. Time stands still until a test moves it. */
export async function removalWorld() {
  const clock = fakeClock()
  const { db, stores } = memory(clock)
  const { log, lines } = recordedLog()
  const disk = new Disk()
  /** What the last connections of devices come to, in order; then they are confirmed. */
  const answers: UnlinkOutcome[] = []
  /** The devices that asked to be unlinked, by a connection of their own. */
  const asked: SessionKey[] = []
  const loggedOut: SessionKey[] = []
  const phones = { answer: true }
  let numbers = 0

  const openSocket = ({ state, events }: OpenSocketAsk): WhatsAppSocket => {
    const me = { id: `49151${String(++numbers).padStart(7, '0')}:1@s.whatsapp.net` }
    void (async () => {
      // Not before the connection is the session's.
      await Promise.resolve()
      if (!phones.answer) return
      const creds = state.storedCreds() as { me: { id: string } } | undefined
      if (isPaired(creds) && creds) return events.open({ jid: creds.me.id })
      await state.journal.set([[CREDS_KEY, credsRecord({ me })]])
      events.paired()
      events.closed({ by: 'server', status: 515, message: 'restart required' })
    })()
    return socketOf({
      handOver: async () => events.closed({ by: 'us', message: 'handed over' }),
      logout: async () => {
        loggedOut.push(state.key)
        return 'confirmed'
      },
    })
  }
  const process = new SimulatedProcess(new VirtualTime(), 'disk')
  const start = async (): Promise<Runner> => {
    const runner = new Runner({
      bodies: testBodies(),
      stores,
      clock,
      random: seededRandom(1),
      log,
      openSocket,
      unlinkDevice: async ({ key }) => {
        asked.push(key)
        return answers.shift() ?? { ended: 'confirmed' }
      },
      workingCopies: workingCopiesOn(disk, process),
      settings: {
        name: 'test',
        version: '0',
        workDir: '',
        lease: { renewEveryMs: 2_500, renewWithinMs: 6_500, leaseForMs: 10_000 },
        watchdog: WATCHDOG_TIMES,
        resyncEveryMs: 120_000,
        connectsPerSecond: 1_000,
        connectingMax: 100,
        capacity: 100,
        rebalancePerMinute: 0,
        reconcile: true,
      },
    })
    await runner.start()
    return runner
  }
  let runner = await start()
  const world = {
    db,
    stores,
    clock,
    lines,
    disk,
    answers,
    asked,
    loggedOut,
    phones,
    /** Another runner takes the place of this one, which ends in order. */
    async restart() {
      const ended = runner.stop()
      await clock.advance(5_000)
      await ended
      runner = await start()
    },
    /** Creates a session with a pairing window open. */
    async create(id: string, life?: string): Promise<SessionKey> {
      const openedAtMs = clock.nowMs()
      const session = newSession('acme', id, life)
      const pairing = {
        id,
        method: 'qr',
        openedAtMs,
        expiresAtMs: openedAtMs + WINDOW_MS,
        replace: false,
      } as const
      return keyOf(await stores.sessions.create({ ...session, want: { ...session.want, pairing } }))
    },
    /** Creates a session, scans, and waits until it is connected. */
    async pair(id: string, life?: string): Promise<SessionKey> {
      const key = await world.create(id, life)
      await world.until(async () => (await stores.sessions.get(key))?.status?.phase === 'connected')
      return key
    },
    /** Wants it stopped, and waits until nobody has it any more. */
    async stop(key: SessionKey): Promise<void> {
      await stores.sessions.changeWant(key, (want) => ({ ...want, state: 'stopped' }), {
        nonce: 'stop',
        nowMs: clock.nowMs(),
      })
      await world.until(async () => (await stores.owners.get(key))?.runnerId === undefined)
    },
    remove: (key: SessionKey, purge = false): Promise<Removal> =>
      stores.sessions.remove(key, { purge, by: 'control:k', nowMs: clock.nowMs() }),
    /** Moves time until it is so. @throws Error after five minutes */
    async until(isSo: () => Promise<unknown>): Promise<void> {
      for (let waitedMs = 0; waitedMs < 300_000; waitedMs += 100) {
        if (await isSo()) return
        await clock.advance(100)
      }
      throw new Error('it never came to this')
    },
    /** Deletes a session and waits until that is worked off. */
    async removed(key: SessionKey, purge = false): Promise<Removal | undefined> {
      await world.remove(key, purge)
      await world.until(async () => (await stores.removals.get(key))?.phase !== 'unlinking')
      return stores.removals.get(key)
    },
    /** Everything that is stored, a text for each record. */
    stored: (): string[] =>
      Object.entries(db).flatMap(([collection, records]) =>
        records instanceof Map ? textsOf(collection, records) : [],
      ),
    async [Symbol.asyncDispose]() {
      const ended = runner.stop()
      await clock.advance(20_000)
      await ended
    },
  }
  return world
}

function textsOf(path: string, records: ReadonlyMap<unknown, unknown>): string[] {
  return [...records].flatMap(([key, value]) =>
    value instanceof Map
      ? textsOf(`${path} ${String(key)}`, value)
      : [`${path} ${String(key)} ${JSON.stringify(value)}`],
  )
}
