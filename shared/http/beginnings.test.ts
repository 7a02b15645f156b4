import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createBeginnings } from './beginnings.ts'

/** Begins one for each name, and notes who has begun. */
function many(names: readonly string[], perTurn = 2): string[] {
  const begun: string[] = []
  const begin = createBeginnings(perTurn)
  for (const name of names) {
    const turn = begin(name)
    if (turn) void turn.then(() => begun.push(name))
    else begun.push(name)
  }
  return begun
}

test('F3: of many that come at once so many begin in a turn of the event loop, and all in the end', async () => {
  const begun = many(['1', '2', '3', '4', '5'])
  expect(begun).toEqual(['1', '2'])
  await nextTurn()
  expect(begun).toEqual(['1', '2', '3', '4'])
  await nextTurn()
  expect(begun).toEqual(['1', '2', '3', '4', '5'])
})

test('F6: whoever comes behind the many of somebody else is behind one of them', async () => {
  const begun = many([...Array.from({ length: 100 }, () => 'greedy'), 'quiet'])
  await nextTurn()
  expect(begun).toContain('quiet')
  expect(begun).toHaveLength(4)
})

test('what comes one by one waits for nothing', async () => {
  const begin = createBeginnings(1)
  expect(begin('a')).toBeUndefined()
  await nextTurn()
  expect(begin('a')).toBeUndefined()
})
