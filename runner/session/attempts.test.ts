import { expect, test } from 'vitest'
import { BACKOFF } from '../pacing/backoff.ts'
import { ME, sessionInHand } from './live-session.fixture.ts'

/** A session that failed three times in a row, and whose next connection is on its way. */
async function begin() {
  const { live, clock, rehydrate, latest, woken } = await sessionInHand()
  await rehydrate()
  for (let tries = 1; tries <= 3; tries++) expect(live.backOff('unavailable')).toBe(tries)
  live.connect(1)
  const open = (): void => latest().open(ME)
  const lose = (): void => {
    latest().closed({ by: 'server', status: 428, message: 'Connection Terminated' })
    live.judged()
  }
  return { live, clock, open, lose, woken }
}

test('E2 failed attempts are forgiven once a connection has lasted, and a pass is woken to say so', async () => {
  const { live, clock, open, woken } = await begin()
  open()
  await clock.advance(BACKOFF.stableAfterMs - 1)
  expect(live.retry.attempts).toBe(3)
  const before = woken()
  await clock.advance(1)
  expect(live.retry.attempts).toBe(0)
  expect(woken()).toBe(before + 1)
})

test('E2 a connection that is lost sooner forgives nothing, but a refusal begins to be counted anew', async () => {
  const { live, clock, open, lose } = await begin()
  open()
  await clock.advance(BACKOFF.stableAfterMs - 1)
  lose()
  await clock.advance(BACKOFF.stableAfterMs)
  expect(live.retry.attempts).toBe(3)
  expect(live.backOff('unavailable')).toBe(1)
  expect(live.retry.attempts).toBe(4)
})

test('each reason is counted by itself: what ends after three tries has three tries', async () => {
  const { live, lose } = await begin()
  lose()
  expect(['http_refused', 'http_refused', 'unavailable'].map((why) => live.backOff(why))).toEqual([1, 2, 1])
  expect(live.retry.attempts).toBe(6)
})

test('E2 a person’s word ends the count of every reason', async () => {
  const { live, lose } = await begin()
  lose()
  live.backOff('http_refused')
  live.startOver()
  expect([live.retry.attempts, live.retry.retryAtMs, live.backOff('http_refused')]).toEqual([0, 0, 1])
})
