import { expect, test } from 'vitest'
import { keyOf } from '../runner.fixture.ts'
import { LateLogins } from './late-logins.ts'

const SHOP = keyOf('shop')
const BAR = keyOf('block')

test('a login that was given up explains one 440 of its session, and no second', () => {
  const logins = new LateLogins()
  logins.note(SHOP, 0)
  expect(logins.explain(BAR, 1)).toBe(false)
  expect(logins.explain(SHOP, 1)).toBe(true)
  expect(logins.explain(SHOP, 2)).toBe(false)
})

test('each login that was given up explains one', () => {
  const logins = new LateLogins()
  logins.note(SHOP, 0)
  logins.note(BAR, 5)
  logins.note(SHOP, 10)
  expect([1, 2, 3].map((at) => logins.explain(SHOP, 10 + at))).toEqual([true, true, false])
  expect(logins.explain(BAR, 20)).toBe(true)
})

test('E1 a minute later it explains nothing any more', () => {
  const logins = new LateLogins()
  logins.note(SHOP, 0)
  expect(logins.explain(SHOP, 60_000)).toBe(false)
  logins.note(SHOP, 100_000)
  expect(logins.explain(SHOP, 159_999)).toBe(true)
})

test('what this process gave up itself is not counted again when it claims the session once more', () => {
  const logins = new LateLogins()
  logins.note(SHOP, 0)
  logins.inherit(SHOP, 1)
  logins.inherit(BAR, 1)
  expect([2, 3].map((at) => logins.explain(SHOP, at))).toEqual([true, false])
  expect([2, 3].map((at) => logins.explain(BAR, at))).toEqual([true, false])
})
