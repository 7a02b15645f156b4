import { expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { within } from './within.ts'

test.for([
  ['succeeds', () => Promise.resolve(1)],
  ['fails', () => Promise.reject(new Error('no'))],
] as const)('work that %s in time ended in time, and no timer stays behind', async ([, work]) => {
  const clock = fakeClock()
  expect(await within(clock, 100, work())).toBe(true)
  expect(clock.timers).toBe(0)
})

test('work that does not end is not waited for longer', async () => {
  const clock = fakeClock()
  const answer = within(clock, 100, new Promise(() => undefined))
  await clock.advance(100)
  expect(await answer).toBe(false)
})
