import { describe, expect, test } from 'vitest'
import { furthest, planRestore, type RestoreListing } from './restore-plan.ts'

/** What is there: snapshots as seq (`!` for a quarantined one, `a` for an archive), the head of the journal, the working copy's seq. */
const rows: readonly [
  why: string,
  snapshots: string,
  head: number,
  local: number | undefined,
  plan: string,
][] = [
  ['nothing at all needs no hydration', '', 0, undefined, ''],
  ['a journal alone is replayed from its beginning', '', 7, undefined, 'empty+1'],
  [
    'the newest snapshot comes first, the older ones after it',
    '3 9 5',
    12,
    undefined,
    '9+10 5+6 3+4 empty+1',
  ],
  ['a working copy at the head leaves nothing to replay', '3 9', 12, 12, 'local+13 9+10 3+4 empty+1'],
  ['a working copy behind the head needs its tail only', '3 9', 12, 10, 'local+11 9+10 3+4 empty+1'],
  ['a working copy older than the newest snapshot is passed over', '3 9', 12, 8, '9+10 3+4 empty+1'],
  ['a quarantined snapshot is never chosen', '3 9!', 12, undefined, '3+4 empty+1'],
  ['a quarantined newest does not outdate a working copy', '3 9!', 12, 8, 'local+9 3+4 empty+1'],
  ['a snapshot above a journal that is gone stands alone', '9', 0, undefined, '9+10'],
  ['an archive comes last, whatever its age', '3 9a', 12, undefined, '3+4 empty+1 9+10'],
  ['an archive does not outdate a working copy', '3 9a', 12, 8, 'local+9 3+4 empty+1 9+10'],
  ['an archive above a journal that is gone stands alone', '9a', 0, undefined, '9+10'],
]

function listing(snapshots: string, journalHead: number, local: number | undefined): RestoreListing {
  const list = snapshots.split(' ').filter((text) => text !== '')
  return {
    snapshots: list.map((text) => ({
      id: `s${Number.parseInt(text, 10)}`,
      seq: Number.parseInt(text, 10),
      at: 1,
      ...(text.endsWith('!') ? { quarantined: 'damaged' } : {}),
      ...(text.endsWith('a') ? { archive: true as const } : {}),
    })),
    journalHead,
    ...(local === undefined ? {} : { local: { seq: local } }),
  }
}

describe('planRestore', () => {
  test.for(rows)('B1 %s', ([, snapshots, head, local, plan]) => {
    const attempts = planRestore(listing(snapshots, head, local)).map(({ base, seq, fromSeq }) => {
      const name = base.from === 'snapshot' ? base.id.slice(1) : base.from
      expect(fromSeq).toBe(seq + 1)
      return `${name}+${fromSeq}`
    })
    expect(attempts.join(' ')).toBe(plan)
  })

  test('a prepared state comes before a working copy, and is passed over alike', () => {
    const names = (prepared: number) =>
      planRestore({ ...listing('3 9', 12, 11), prepared: { seq: prepared } }).map(
        ({ base, fromSeq }) => `${base.from}+${fromSeq}`,
      )
    expect(names(12)).toEqual(['prepared+13', 'local+12', 'snapshot+10', 'snapshot+4', 'empty+1'])
    expect(names(8)).toEqual(['local+12', 'snapshot+10', 'snapshot+4', 'empty+1'])
  })

  test('of two snapshots at one seq the later one comes first', () => {
    const snapshots = [
      { id: 'early', seq: 5, at: 1 },
      { id: 'late', seq: 5, at: 2 },
    ]
    const [first] = planRestore({ snapshots, journalHead: 5 })
    expect(first?.base).toEqual({ from: 'snapshot', id: 'late' })
  })
})

describe('furthest', () => {
  const attempt = { base: { from: 'empty' as const }, seq: 0, fromSeq: 1 }
  test('takes the one that came furthest, and the earlier of equals', () => {
    const reach = (seq: number, stopped: string) => ({ attempt, seq, stopped })
    expect(furthest([])).toBeUndefined()
    expect(furthest([reach(3, 'a'), reach(7, 'b'), reach(7, 'c'), reach(5, 'd')])?.stopped).toBe('b')
    expect(furthest([reach(-1, 'a'), reach(0, 'b')])?.stopped).toBe('b')
  })
})
