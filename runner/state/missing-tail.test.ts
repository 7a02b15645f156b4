import { describe, expect, test } from 'vitest'
import { highestSeen, missingTail, type TailEvidence } from './missing-tail.ts'

const MACS: Readonly<Record<number, string>> = { 7: 'seven', 8: 'eight', 9: 'nine' }
const NONCE = 'abcdefghijklmnop'

/** A journal that ends at 9, of which the MACs are known from 7 on. */
const missing = (evidence: Partial<TailEvidence>, headSeq = 9): string | undefined =>
  missingTail(
    { headSeq, macAt: (seq) => MACS[seq] },
    { witnesses: [], snapshots: [], objects: [], ...evidence },
  )

const recorded = (seq: number, mac?: string) => ({
  id: `1-${seq}-${NONCE}`,
  seq,
  ...(mac === undefined ? {} : { mac }),
})

describe('nothing is missing', () => {
  const rows: readonly [why: string, Partial<TailEvidence>, headSeq?: number][] = [
    ['where nothing was seen', {}],
    ['where nothing was seen and nothing is there', {}, 0],
    ['where the head is the witness', { witnesses: [{ seq: 9, mac: 'nine' }] }],
    ['where the journal went on since', { witnesses: [{ seq: 8, mac: 'eight' }] }],
    ['where the witness lies below what was read', { witnesses: [{ seq: 3, mac: 'three' }] }],
    ['where a snapshot stands at the head', { snapshots: [recorded(9, 'nine')] }],
    ['where the object of a snapshot stands at the head', { objects: [`1-9-${NONCE}`] }],
    [
      'where a jump came as far as its object: its entry was never written',
      { objects: [`1-10-jump-${NONCE}`] },
    ],
    ['where an old Mooring removed the entry that its snapshots stood at', { snapshots: [recorded(12)] }],
    [
      'where the object is one that is recorded so',
      { snapshots: [recorded(12)], objects: [recorded(12).id] },
    ],
    ['where objects have names of another kind', { objects: ['x', '1-99-', `a-99-${NONCE}`] }],
  ]
  test.for(rows)('%s', ([, evidence, headSeq]) => {
    expect(missing(evidence, headSeq)).toBeUndefined()
  })
})

describe('a tail is missing', () => {
  const rows: readonly [why: string, Partial<TailEvidence>, says: RegExp, headSeq?: number][] = [
    ['where a witness lies above the head', { witnesses: [{ seq: 10, mac: 'ten' }] }, /ends at 9.*up to 10/],
    ['where nothing is left at all', { witnesses: [{ seq: 9, mac: 'nine' }] }, /ends at 0.*up to 9/, 0],
    [
      'where the older of two witnesses fits',
      {
        witnesses: [
          { seq: 8, mac: 'eight' },
          { seq: 10, mac: 'ten' },
        ],
      },
      /up to 10/,
    ],
    [
      'where the entry of a witness is another one',
      { witnesses: [{ seq: 9, mac: 'neuf' }] },
      /entry 9 is another/,
    ],
    ['where that of an older witness is', { witnesses: [{ seq: 7, mac: 'sept' }] }, /entry 7 is another/],
    ['where the record of a snapshot lies above it', { snapshots: [recorded(10, 'ten')] }, /up to 10/],
    ['where the entry of a snapshot is another one', { snapshots: [recorded(9, 'neuf')] }, /entry 9/],
    ['where an object lies above it that nobody recorded', { objects: [`1-10-${NONCE}`] }, /snapshot of 10/],
    [
      'where the object of a jump lies further above it than the next entry',
      { objects: [`1-11-jump-${NONCE}`] },
      /snapshot of 11/,
    ],
  ]
  test.for(rows)('%s', ([, evidence, says, headSeq]) => {
    expect(missing(evidence, headSeq)).toMatch(says)
  })
})

test('what is written next comes after all that was ever seen', () => {
  const evidence = { witnesses: [{ seq: 12, mac: 'x' }], snapshots: [], objects: [`1-10-${NONCE}`, 'x'] }
  expect(highestSeen(9, evidence)).toBe(12)
  expect(highestSeen(9, { ...evidence, objects: [`1-15-${NONCE}`] })).toBe(15)
  expect(highestSeen(20, evidence)).toBe(20)
})
