import { describe, expect, test } from 'vitest'
import { AT, snapshot } from '#test/contract/samples.ts'
import { choose } from './restore.ts'

/** In no order; taken at AT + seq. */
const list = [snapshot(20), snapshot(40), snapshot(10), snapshot(30)]
const chosen = (args: Parameters<typeof choose>[1], snapshots = list): number | undefined =>
  choose(snapshots, args)?.seq

describe('D2 the snapshot to restore', () => {
  test('is the newest, when nothing is said', () => {
    expect(chosen({})).toBe(40)
    expect(chosen({ force: true })).toBe(40)
  })

  test('is the one that is named', () => {
    expect(chosen({ snapshot: '1-20-n' })).toBe(20)
    expect(chosen({ snapshot: '1-20-n', at: AT + 40 })).toBe(20)
    expect(chosen({ snapshot: 'unknown' })).toBeUndefined()
  })

  test('is the newest that is no younger than the time', () => {
    expect(chosen({ at: AT + 30 })).toBe(30)
    expect(chosen({ at: AT + 29 })).toBe(20)
    expect(chosen({ at: AT + 9 })).toBeUndefined()
  })

  test('B4 is never one that is known to be damaged', () => {
    const damaged = [...list, snapshot(50, { quarantined: 'bad_bytes' })]
    expect(chosen({}, damaged)).toBe(40)
    expect(chosen({ snapshot: '1-50-n' }, damaged)).toBeUndefined()
    expect(chosen({ at: AT + 60 }, damaged)).toBe(40)
  })

  test('is none where there is none', () => {
    expect(chosen({}, [])).toBeUndefined()
  })
})
