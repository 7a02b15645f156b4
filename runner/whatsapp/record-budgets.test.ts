import { describe, expect, test } from 'vitest'
import type { Change } from '../state/pending-changes.ts'
import { RecordMap } from '../state/record-map.ts'
import { encodeValue } from '../state/record.ts'
import { BUDGETS, RecordBudgets } from './record-budgets.ts'

const MiB = 1024 * 1024
const ofSize = (bytes: number): Uint8Array => new Uint8Array(bytes)

function begin(records = new RecordMap()) {
  const dropped: string[] = []
  const budgets = new RecordBudgets(
    records,
    (what) => void dropped.push(what),
    (person) => person === 'me',
  )
  const set = (...changes: Change[]): void => {
    for (const [key, value] of budgets.admit(changes)) records.set(key, value)
  }
  const sizeOf = (type: string): number =>
    [...records.entries(`${type}/`)].reduce((sum, [, bytes]) => sum + bytes.length, 0)
  const has = (key: string): boolean => records.get(key) !== undefined
  return { records, budgets, dropped, set, sizeOf, has }
}

/** A session that was used at that time, of some size. */
const session = (used: number, bytes: number): Uint8Array =>
  encodeValue({ _sessions: { a: { indexInfo: { used } } }, filler: ofSize(bytes) })

describe('the budgets of records', () => {
  test('every kind has a limit for one record that is within that of a person, and of the session', () => {
    for (const { record, person = record, session: all } of Object.values(BUDGETS)) {
      expect(record).toBeLessThanOrEqual(person)
      expect(person).toBeLessThanOrEqual(all / 8)
    }
  })

  test('F3: a record that is too large is not kept, nor the one before it; the others of the write are', () => {
    const { set, has, dropped } = begin()
    set(['session/a.0', ofSize(100)])
    set(['session/a.0', ofSize(MiB + 1)], ['device-list/b', ofSize(5_000)], ['device-list/c', ofSize(10)])
    expect([has('session/a.0'), has('device-list/b'), has('device-list/c')]).toEqual([false, false, true])
    expect(dropped).toEqual(['oversized', 'oversized'])
  })

  test.for(Object.keys(BUDGETS))('F3: %s never takes more than its budget, whoever makes them', (type) => {
    const { set, sizeOf, has, dropped } = begin()
    const { record, session: max } = BUDGETS[type] ?? { record: 0, session: 0 }
    const value = new Map([
      ['session', session(1, record - 200)],
      ['tctoken', encodeValue({ timestamp: '1790000000', token: ofSize(record - 100) })],
    ]).get(type)
    const count = Math.ceil((max / record) * 1.2)
    const key = (at: number): string => `${type}/g${at}::p${at}::0`
    for (let at = 0; at < count; at++) {
      set([key(at), value ?? ofSize(record)])
      if (at % Math.ceil(count / 8) === 0) expect(sizeOf(type)).toBeLessThanOrEqual(max)
    }
    expect(sizeOf(type)).toBeLessThanOrEqual(max)
    expect(sizeOf(type)).toBeGreaterThan(max * 0.8)
    expect(has(key(count - 1))).toBe(true)
    expect(dropped).toContain('evicted')
  })

  test('F3: one person takes room from nobody but itself', () => {
    const { set, sizeOf, has, records } = begin()
    set(['sender-key/g0::bob::0', ofSize(1_000)])
    for (let group = 0; group < 100; group++) set([`sender-key/g${group}::eve::0`, ofSize(200_000)])
    expect(sizeOf('sender-key')).toBeLessThanOrEqual(4 * MiB + 1_000)
    expect(has('sender-key/g0::bob::0')).toBe(true)
    expect(has('sender-key/g99::eve::0')).toBe(true)
    expect(has('sender-key/g0::eve::0')).toBe(false)
    expect(records.isEmpty).toBe(false)
  })

  test('the account itself has no budget of a person', () => {
    const { set, dropped } = begin()
    for (let group = 0; group < 40; group++) set([`sender-key/g${group}::me::0`, ofSize(200_000)])
    expect(dropped).toEqual([])
  })

  test('what was used last is evicted last, also after a connection that was made anew', () => {
    const first = begin()
    for (let group = 0; group < 20; group++) first.set([`sender-key/g${group}::eve::0`, ofSize(200_000)])
    first.budgets.use('sender-key', 'g0::eve::0')
    const { set, has } = begin(first.records)
    for (let group = 20; group < 23; group++) set([`sender-key/g${group}::eve::0`, ofSize(200_000)])
    expect(has('sender-key/g0::eve::0')).toBe(true)
    expect(has('sender-key/g1::eve::0')).toBe(false)
  })

  test('of what nobody used since the start the oldest goes first, by what is in it', () => {
    const before = new RecordMap()
    const uses = [50, 10, 40, 20, 30]
    for (const [device, used] of uses.entries()) before.set(`session/eve.${device}`, session(used, 800_000))
    const { set, has } = begin(before)
    set(['session/eve.9', session(60, 800_000)])
    set(['session/eve.8', session(60, 800_000)])
    expect(uses.map((_, device) => has(`session/eve.${device}`))).toEqual([true, false, true, false, true])
  })

  test('the index of tokens stays, and grows with them', () => {
    const { set, has, dropped } = begin()
    set(['tctoken/__index', ofSize(100_000)])
    const token = encodeValue({ timestamp: '1790000000', token: ofSize(900) })
    for (let batch = 0; batch < 5 * 32; batch++)
      set(...Array.from({ length: 32 }, (_, at): Change => [`tctoken/${batch}-${at}`, token]))
    expect(has('tctoken/__index')).toBe(true)
    expect(dropped).toContain('evicted')
  })

  test('what only the account makes has no budget', () => {
    const { set, has, dropped } = begin()
    set(['pre-key/1', ofSize(2 * MiB)], ['creds/', ofSize(2 * MiB)], ['app/inbox/1', ofSize(3 * MiB)])
    expect([has('pre-key/1'), has('creds/'), has('app/inbox/1')]).toEqual([true, true, true])
    expect(dropped).toEqual([])
  })
})
