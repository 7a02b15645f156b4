import { expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { withDeadline, within } from './within.ts'

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

const late = (): never => {
  throw new Error('late')
}

test('what the work gives, or how it fails, is the answer when it comes in time', async () => {
  const clock = fakeClock()
  expect(await withDeadline(clock, 100, Promise.resolve('given'), late)).toBe('given')
  await expect(withDeadline(clock, 100, Promise.reject(new Error('no')), late)).rejects.toThrow('no')
  expect(clock.timers).toBe(0)
})

test('once the time is over the answer is what `late` gives or throws, and a later failure ends no process', async () => {
  const clock = fakeClock()
  const work = Promise.withResolvers<never>()
  const [given, thrown] = [
    withDeadline(clock, 100, work.promise, () => 'given'),
    withDeadline(clock, 100, work.promise, late),
  ]
  thrown.catch(() => undefined)
  await clock.advance(100)
  expect(await given).toBe('given')
  await expect(thrown).rejects.toThrow('late')
  work.reject(new Error('nobody hears this'))
  await clock.settle()
})
