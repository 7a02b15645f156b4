import { expect, test } from 'vitest'
import { LoopLag } from './loop-lag.ts'

const EVERY_MS = 1_000

test('a timer that comes up to five seconds late is nothing', () => {
  const lag = new LoopLag()
  expect(lag.ticked(10_000, EVERY_MS)).toBeUndefined()
  expect(lag.ticked(11_000, EVERY_MS)).toBeUndefined()
  expect(lag.ticked(17_000, EVERY_MS)).toBeUndefined()
  expect(lag.isHeldUp(17_000)).toBe(false)
})

test('B3 one that comes later tells that the event loop was held up, for thirty seconds', () => {
  const lag = new LoopLag()
  lag.ticked(10_000, EVERY_MS)
  expect(lag.ticked(16_001, EVERY_MS)).toBe(5_001)
  expect(lag.isHeldUp(46_000)).toBe(true)
  expect(lag.isHeldUp(46_001)).toBe(false)
  expect(lag.ticked(17_001, EVERY_MS)).toBeUndefined()
  expect(lag.isHeldUp(46_000)).toBe(true)
})
