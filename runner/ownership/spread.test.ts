import { expect, test } from 'vitest'
import { preferredRunner } from './spread.ts'

const sessions = Array.from({ length: 3_000 }, (_, at) => `t~s${at}`)
const count = (runners: { id: string; capacity: number }[]): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const session of sessions) {
    const { id } = preferredRunner(session, runners) ?? { id: 'nobody' }
    counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  return counts
}

test('spreads sessions by capacity', () => {
  const counts = count([
    { id: 'a', capacity: 100 },
    { id: 'b', capacity: 100 },
    { id: 'c', capacity: 200 },
  ])
  expect(counts.get('a')).toBeGreaterThan(600)
  expect(counts.get('a')).toBeLessThan(900)
  expect(counts.get('c')).toBeGreaterThan(1_350)
  expect(counts.get('c')).toBeLessThan(1_650)
})

test('moves only the sessions of the runner that left', () => {
  const two = [
    { id: 'a', capacity: 1 },
    { id: 'b', capacity: 1 },
  ]
  const three = [...two, { id: 'c', capacity: 1 }]
  for (const session of sessions) {
    const before = preferredRunner(session, three)
    if (before?.id !== 'c') expect(preferredRunner(session, two)).toEqual(before)
  }
})

test('prefers nobody where there is nobody', () => {
  expect(preferredRunner('t~s', [])).toBeUndefined()
})
