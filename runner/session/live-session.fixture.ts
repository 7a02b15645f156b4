import type { Clock } from '#shared/clock.ts'
import { CodedError } from '#shared/errors.ts'
import type { PairingWindow } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'
import { testBodies } from '#test/bodies.ts'
import { newSession } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { seededRandom } from '#shared/random.ts'
import { KEY, memory, recordedLog, silent, socketOf } from '../runner.fixture.ts'
import { dataKeys } from '../state/data-keys.ts'
import { CREDS_KEY } from '../state/record.ts'
import { SessionState } from '../state/session-state.ts'
import type { WorkingCopies } from '../state/working-copy.ts'
import { credsRecord } from '../state/testing.ts'
import type { SocketEvents, WhatsAppSocket } from '../whatsapp/socket.ts'
import { LateLogins } from './late-logins.ts'
import { LiveSession } from './live-session.ts'
import type { LiveSessionDeps } from './live-session-deps.ts'
import type { Inherited } from './session-parts.ts'

export const ME = { jid: '491701234567:5@s.whatsapp.net' }

export const windowOf = (id: string, more: Partial<PairingWindow> = {}): PairingWindow => ({
  id,
  method: 'qr',
  replace: false,
  openedAtMs: 0,
  expiresAtMs: Number.MAX_SAFE_INTEGER,
  ...more,
})

/** A connection that the session opened, as WhatsApp's side of a test sees it. */
interface Dialled {
  events: SocketEvents
  /** It was ended by the session. */
  isEnded: boolean
}

interface Options {
  /** Its credentials are those of a linked device. */
  paired?: boolean
  inherited?: Inherited
  dice?: number
  socket?: Partial<WhatsAppSocket>
  /** Puts faults between the session and its stores. */
  through?: (stores: Stores) => Stores
}

/** What a runner lends to its sessions, on these stores: nothing connects, no disk keeps anything. */
export function lentTo(clock: Clock, stores: Stores, more: Partial<LiveSessionDeps> = {}): LiveSessionDeps {
  const random = seededRandom(1)
  const log = more.log ?? silent
  const soon = (task: () => void): void => void setImmediate(task)
  const keys = dataKeys({ stores, clock, random })
  return {
    stores,
    bodies: testBodies(),
    state: { stores, dataKeys: keys, workingCopies: NO_DISK, clock, random, log, soon },
    mayWrite: () => true,
    openSocket: () => socketOf(),
    clientVersion: () => undefined,
    clock,
    log,
    dice: () => 0,
    lateLogins: new LateLogins(),
    wake: () => undefined,
    background: (_, work) => (void work().catch(unlessRefused), true),
    dropped: () => undefined,
    event: () => undefined,
    ...more,
  }
}

/** What was begun for a session that is dropped by now is refused, and the runner takes that for an answer. */
function unlessRefused(error: unknown): void {
  if (!(error instanceof CodedError)) throw error
}

/** A session in hand on stores in memory, not rehydrated; its connections do what a test says. */
export async function sessionInHand(options: Options = {}) {
  const { paired = false, inherited, dice = 0, socket, through = (whole: Stores) => whole } = options
  const clock = fakeClock()
  const { stores } = memory(clock)
  const { log, lines } = recordedLog()
  await stores.sessions.create(newSession('acme', 'shop'))
  const session = await stores.sessions.get(KEY)
  if (!session) throw new Error('the session is gone')
  if (paired) {
    const before = await SessionState.open(lentTo(clock, stores).state, session, KEY, { epoch: 1 })
    await before.journal.set([[CREDS_KEY, credsRecord()]])
  }
  const dialled: Dialled[] = []
  const lateLogins = new LateLogins()
  let woken = 0
  const deps = lentTo(clock, through(stores), {
    openSocket: ({ events }) => {
      const one: Dialled = { events, isEnded: false }
      const end = (by: 'us' | 'watchdog', message: string): void => {
        if (one.isEnded) return
        one.isEnded = true
        events.closed({ by, message })
      }
      dialled.push(one)
      return socketOf({ handOver: async () => end('us', 'handed over'), drop: end, ...socket })
    },
    log,
    dice: () => dice,
    lateLogins,
    wake: () => void woken++,
  })
  const live = new LiveSession(deps, KEY, inherited)
  return {
    live,
    clock,
    stores,
    lines,
    lateLogins,
    dialled,
    woken: () => woken,
    rehydrate: () => live.rehydrate(session, { epoch: EPOCH }),
    /** What the newest connection tells. */
    latest: (): SocketEvents => {
      const last = dialled.at(-1)
      if (!last) throw new Error('nothing was opened')
      return last.events
    },
  }
}

/** The epoch under which it is rehydrated. */
export const EPOCH = 2

/** A disk that keeps nothing. */
export const NO_DISK: WorkingCopies = {
  keys: async () => [],
  load: async () => undefined,
  rebase: async () => undefined,
  append: () => undefined,
  drop: async () => undefined,
  settle: async () => undefined,
}
