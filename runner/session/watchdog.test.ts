import { describe, expect, test } from 'vitest'
import type { SessionKey } from '#shared/ids.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { connectingView, KEY, keyOf, openView, recordedLog, socketOf, viewOf } from '../runner.fixture.ts'
import { NO_CONNECTION } from './connection.ts'
import type { PairingView } from './pairing.ts'
import { Watchdog, WATCHDOG_TIMES as TIMES, type Watched } from './watchdog.ts'
import type { SocketHealth, WhatsAppSocket } from '../whatsapp/socket.ts'

function begin() {
  const clock = fakeClock()
  const { log, lines } = recordedLog()
  const live = new Map<SessionKey, Watched>()
  const watchdog = new Watchdog({ clock, log, live, times: TIMES })
  const startMs = clock.monotonicMs()
  /** A session with a connection whose health a test may change; what it was dropped for is noted. */
  const connection = (
    more: { is?: 'connecting' | 'open'; shown?: PairingView['shown'] } = {},
    socket: Partial<WhatsAppSocket> = {},
    key: SessionKey = KEY,
  ) => {
    const dropped: string[] = []
    const health: SocketHealth = {
      openedAtMs: undefined,
      lastFrameMs: startMs,
      loggedInAtMs: undefined,
      messagesIdleSinceMs: undefined,
      peerMessageSinceMs: undefined,
    }
    const view = more.is === 'connecting' ? connectingView : openView
    const session = {
      ...viewOf({ pairing: { shown: more.shown } }, key),
      connection: view({ begunMs: startMs, socket: socketOf({ health: () => health, ...socket }) }),
      giveUpConnection: (why: string): void => {
        dropped.push(why)
        session.connection = NO_CONNECTION
      },
    }
    live.set(key, session)
    return { session, dropped, health }
  }
  const pass = async (ms: number): Promise<void> => {
    await clock.advance(ms)
    watchdog.look()
    await clock.settle()
  }
  return { clock, lines, watchdog, connection, pass }
}

const connecting = { is: 'connecting' } as const
const shown = { windowId: 'w1', expiresAt: 1 }

describe('the watchdog', () => {
  test('B3 ends an open connection without any frame for too long', async () => {
    const { connection, pass, lines } = begin()
    const { dropped } = connection()
    await pass(TIMES.silenceMs)
    expect(dropped).toEqual([])
    await pass(1)
    expect(dropped).toEqual(['no frame for too long'])
    expect(lines).toMatchObject([{ sessionId: KEY, why: 'no frame for too long' }])
  })

  test('B3 ends a connection that never reaches any event', async () => {
    const { connection, pass } = begin()
    const { dropped } = connection(connecting)
    await pass(TIMES.connectMs)
    expect(dropped).toEqual([])
    await pass(1)
    expect(dropped).toEqual(['no answer while connecting'])
  })

  test('B3 ends one that logged in but never opens, and gives it time from the login', async () => {
    const { connection, pass, clock } = begin()
    const { dropped, health } = connection(connecting)
    await clock.advance(TIMES.connectMs - 1)
    health.loggedInAtMs = clock.monotonicMs()
    await pass(TIMES.loginMs)
    expect(dropped).toEqual([])
    await pass(1)
    expect(dropped).toEqual(['logged in but never open'])
  })

  test.for([
    ['QR', { qr: 'text' }],
    ['code', { code: 'ABCD1234' }],
  ] as const)('leaves a %s up as long as its connection is alive', async ([, what]) => {
    const { connection, pass, clock } = begin()
    const { dropped, health } = connection({ ...connecting, shown: { ...shown, ...what } })
    for (let minute = 0; minute < 5; minute++) {
      health.lastFrameMs = clock.monotonicMs()
      await pass(60_000)
    }
    expect(dropped).toEqual([])
    await pass(TIMES.silenceMs)
    expect(dropped).toEqual(['no frame for too long'])
  })

  test('B3 ends a connection whose receive or send path is stuck', async () => {
    const { connection, pass } = begin()
    const asked: number[] = []
    const probe = async (withinMs: number): Promise<boolean> => asked.push(withinMs) === 0
    const { dropped, health } = connection({}, { probe })
    health.lastFrameMs = Infinity
    await pass(TIMES.stuckMs)
    expect(asked).toEqual([TIMES.stuckMs])
    expect(dropped).toEqual(['its receive or send path is stuck'])
  })

  test('a probe that ends after its connection was replaced says nothing about the new one', async () => {
    const { connection, pass, clock } = begin()
    const answer = Promise.withResolvers<boolean>()
    const { session, dropped, health } = connection({}, { probe: () => answer.promise })
    health.lastFrameMs = Infinity
    await pass(TIMES.stuckMs)
    session.connection = openView()
    answer.resolve(false)
    await clock.settle()
    expect(dropped).toEqual([])
  })

  test('probes one connection once at a time', async () => {
    const { connection, pass, clock } = begin()
    const answer = Promise.withResolvers<boolean>()
    let probes = 0
    const probe = (): Promise<boolean> => (probes++, answer.promise)
    const { health, dropped } = connection({}, { probe })
    health.lastFrameMs = Infinity
    await pass(TIMES.stuckMs)
    await pass(TIMES.stuckMs)
    expect(probes).toBe(1)
    answer.resolve(true)
    await clock.settle()
    await pass(TIMES.stuckMs)
    expect([probes, dropped]).toEqual([2, []])
  })

  test('B3 ends a connection on which messages come and nothing becomes of them', async () => {
    const { connection, pass } = begin()
    const { dropped, health } = connection()
    health.messagesIdleSinceMs = health.lastFrameMs
    health.lastFrameMs = Infinity
    await pass(TIMES.undeliveredMs)
    expect(dropped).toEqual([])
    await pass(1)
    expect(dropped).toEqual(['messages come, and nothing becomes of them'])
  })

  test('gives a history more time than a message, and no more than that', async () => {
    const { connection, pass } = begin()
    const { dropped, health } = connection({}, { probe: async () => false })
    health.messagesIdleSinceMs = health.lastFrameMs
    health.peerMessageSinceMs = health.lastFrameMs
    health.lastFrameMs = Infinity
    await pass(TIMES.undeliveredMs + 1)
    await pass(TIMES.historyMs - TIMES.undeliveredMs - 1)
    expect(dropped).toEqual([])
    await pass(1)
    expect(dropped).toEqual(['messages come, and nothing becomes of them'])
  })

  test('a path that a history holds is not stuck, until the history is', async () => {
    const { connection, pass } = begin()
    const { dropped, health } = connection({}, { probe: async () => false })
    health.peerMessageSinceMs = health.lastFrameMs
    health.lastFrameMs = Infinity
    await pass(TIMES.historyMs)
    expect(dropped).toEqual([])
    await pass(TIMES.stuckMs)
    expect(dropped).toEqual(['its receive or send path is stuck'])
  })

  test('a session without messages is a quiet session, not a sick one', async () => {
    const { connection, pass, clock } = begin()
    const { dropped, health } = connection()
    for (let hour = 0; hour < 60; hour++) {
      await pass(60_000)
      health.lastFrameMs = clock.monotonicMs()
    }
    expect(dropped).toEqual([])
  })

  test('leaves a session without a connection alone', async () => {
    const { connection, pass } = begin()
    const { session, dropped } = connection()
    session.connection = NO_CONNECTION
    await pass(10 * TIMES.silenceMs)
    expect(dropped).toEqual([])
  })

  test('one sick connection is ended and the others stay', async () => {
    const { connection, pass } = begin()
    const sick = connection({}, {}, keyOf('sick'))
    const well = connection({}, {}, keyOf('well'))
    well.health.lastFrameMs += 2
    await pass(TIMES.silenceMs + 1)
    expect([sick.dropped.length, well.dropped.length]).toEqual([1, 0])
  })

  test('looks by itself from start to stop, on one timer', async () => {
    const { connection, clock, watchdog } = begin()
    const first = connection()
    watchdog.start()
    await clock.advance(TIMES.silenceMs + TIMES.lookEveryMs)
    expect(first.dropped).toHaveLength(1)
    expect(clock.timers).toBe(1)
    watchdog.stop()
    const { dropped } = connection()
    await clock.advance(10 * TIMES.silenceMs)
    expect([dropped.length, clock.timers]).toEqual([0, 0])
  })
})
