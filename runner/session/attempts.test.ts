import { expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { BACKOFF } from '../pacing/backoff.ts'
import { silent, socketOf } from '../runner.fixture.ts'
import { KEY, openWorld } from '../state/testing.ts'
import type { SocketEvents } from '../whatsapp/socket.ts'
import { LateLogins } from './late-logins.ts'
import { LiveSession } from './live-session.ts'

/** A session that failed three times in a row, and whose next connection is on its way. */
async function begin(world: Awaited<ReturnType<typeof openWorld>>) {
  const { stores, deps } = world
  const clock = fakeClock()
  const connections: SocketEvents[] = []
  let woken = 0
  const live = new LiveSession(
    {
      stores,
      state: deps(),
      mayWrite: () => true,
      openSocket: ({ events }) => {
        connections.push(events)
        return socketOf()
      },
      clock,
      log: silent,
      dice: () => 0,
      lateLogins: new LateLogins(),
      wake: () => void woken++,
      background: (_, work) => void work(),
      dropped: () => undefined,
      event: () => undefined,
    },
    KEY,
  )
  await live.rehydrate(await world.session(), { epoch: 1 })
  for (let tries = 1; tries <= 3; tries++) expect(live.backOff('unavailable')).toBe(tries)
  live.connect(1)
  const open = (): void => connections.at(-1)?.open({ jid: '491701234567:5@s.whatsapp.net' })
  const lose = (): void =>
    connections.at(-1)?.closed({ by: 'server', status: 428, message: 'Connection Terminated' })
  return { live, clock, open, lose, woken: () => woken }
}

test('E2 failed attempts are forgiven once a connection has lasted, and a pass is woken to say so', async () => {
  await using world = await openWorld()
  const { live, clock, open, woken } = await begin(world)
  open()
  await clock.advance(BACKOFF.stableAfterMs - 1)
  expect(live.attempts).toBe(3)
  const before = woken()
  await clock.advance(1)
  expect(live.attempts).toBe(0)
  expect(woken()).toBe(before + 1)
})

test('E2 a connection that is lost sooner forgives nothing, but a refusal begins to be counted anew', async () => {
  await using world = await openWorld()
  const { live, clock, open, lose } = await begin(world)
  open()
  await clock.advance(BACKOFF.stableAfterMs - 1)
  lose()
  await clock.advance(BACKOFF.stableAfterMs)
  expect(live.attempts).toBe(3)
  expect(live.backOff('unavailable')).toBe(1)
  expect(live.attempts).toBe(4)
})

test('each reason is counted by itself: what ends after three tries has three tries', async () => {
  await using world = await openWorld()
  const { live } = await begin(world)
  expect(['http_refused', 'http_refused', 'unavailable'].map((why) => live.backOff(why))).toEqual([1, 2, 1])
  expect(live.attempts).toBe(6)
})
