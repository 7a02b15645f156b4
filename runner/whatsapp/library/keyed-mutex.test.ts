import { expect, test } from 'vitest'
import { slowly } from '../signal.fixture.ts'
import { makeKeyedMutex } from './keyed-mutex.ts'

test('work of one key is done one after the other, in order, also after a failure; other keys do not wait', async () => {
  const byKey = makeKeyedMutex()
  const order: string[] = []
  const { promise: stuck, resolve: goOn } = Promise.withResolvers<void>()
  const first = byKey.mutex('a', async () => {
    await stuck
    order.push('a1')
    throw new Error('failed')
  })
  const second = byKey.mutex('a', async () => {
    order.push('a2')
    return 2
  })
  await byKey.mutex('b', async () => void order.push('b1'))
  await slowly()
  expect(order).toEqual(['b1'])
  goOn()
  await expect(first).rejects.toThrow('failed')
  expect(await second).toBe(2)
  expect(order).toEqual(['b1', 'a1', 'a2'])
})
