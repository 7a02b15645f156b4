import { expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { PeerRate } from './peer-rate.ts'

const from = (jid: string) => ({ from: jid })
const EVE = '491700000009@s.whatsapp.net'

test('F3: a person has so many at once, and then so many a second, all devices together', async () => {
  const clock = fakeClock()
  const rate = new PeerRate(clock, { burst: 3, perSecond: 1 })
  const eves = ['', ':1', ':2', ':3'].map((device) => from(EVE.replace('@', `${device}@`)))
  expect(eves.map((eve) => rate.take(eve))).toEqual([true, true, true, false])
  expect(rate.take(from('491700000002@s.whatsapp.net'))).toBe(true)
  await clock.advance(2_000)
  expect([1, 2, 3].map(() => rate.take(from(EVE)))).toEqual([true, true, false])
  await clock.advance(60_000)
  expect([1, 2, 3, 4].map(() => rate.take(from(EVE)))).toEqual([true, true, true, false])
})

test('more than there are left take nothing', () => {
  const rate = new PeerRate(fakeClock(), { burst: 3, perSecond: 1 })
  expect([rate.take(from(EVE), 4), rate.take(from(EVE), 3), rate.take(from(EVE))]).toEqual([
    false,
    true,
    false,
  ])
})
