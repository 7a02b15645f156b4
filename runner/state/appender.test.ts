import { describe, expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import { Appender } from './appender.ts'
import { begin, code, isSettled, replayed, set } from './journal.fixture.ts'
import { bytes, turn } from './testing.ts'

describe('appending', () => {
  test('an own entry whose answer was lost is recognised by its nonce', async () => {
    const bench = begin()
    bench.loseNext()
    const done = set(bench, 'a')
    while (!(await isSettled(done))) await bench.clock.advance(1_000)
    await done
    expect(bench.appends).toEqual([1, 1])
    expect(bench.broken).toEqual([])
    expect(bench.appended).toEqual([1])
  })

  test('goes on through a store that is away for a while, also while it reads back', async () => {
    const bench = begin()
    bench.loseNext()
    bench.failNext('store_unavailable', 2)
    const read = bench.store.read.bind(bench.store)
    let failures = 2
    bench.store.read = (...ask) =>
      failures-- > 0 ? Promise.reject(new CodedError('store_unavailable', 'read')) : read(...ask)
    const done = set(bench, 'a')
    while (!(await isSettled(done))) await bench.clock.advance(1_000)
    await done
    await set(bench, 'b')
    expect(replayed(bench).changed).toEqual(['a', 'b'])
  })

  test('E7 a newer owner fences it: every waiter is refused and the session is told', async () => {
    const bench = begin()
    bench.stored.set(1, { seq: 1, epoch: 4, nonce: 'theirs', sealed: bytes('x') })
    const release = bench.holdNext()
    const first = set(bench, 'a')
    await turn()
    const second = set(bench, 'b')
    release()
    const results = await Promise.allSettled([first, second])
    expect(results).toEqual([
      { status: 'rejected', reason: code('fenced') },
      { status: 'rejected', reason: code('fenced') },
    ])
    expect(bench.broken).toEqual([code('fenced')])
    await expect(set(bench, 'c')).rejects.toEqual(code('fenced'))
    await expect(bench.journal.flush()).rejects.toEqual(code('fenced'))
    await expect(bench.journal.capture()).rejects.toEqual(code('fenced'))
    expect(bench.appends).toEqual([1])
  })

  test('an older owner’s entry at its seq is told apart from being fenced', async () => {
    const bench = begin()
    bench.stored.set(1, { seq: 1, epoch: 2, nonce: 'theirs', sealed: bytes('x') })
    await expect(bench.journal.append('barrier')).rejects.toEqual(code('seq_taken'))
  })

  test('one entry is under way at a time: a second one could not say what it follows', async () => {
    const bench = begin()
    const appender = new Appender(bench.deps, { broken: () => undefined, giveUp: () => undefined })
    const entryAt = (seq: number) =>
      appender.seal(seq, { kind: 'barrier', changes: [] }, () => undefined, undefined)
    const release = bench.holdNext()
    const first = appender.append(entryAt(1))
    await expect(appender.append(entryAt(2))).rejects.toThrow(/one append/)
    release()
    await first
    await appender.append(entryAt(2))
    expect([...bench.stored.keys()]).toEqual([1, 2])
  })

  test('abandoned: all that waits is refused at once, even where the store never answers', async () => {
    const bench = begin()
    bench.holdNext()
    const waiting = [set(bench, 'a')]
    await turn()
    waiting.push(set(bench, 'b'), bench.journal.flush(), bench.journal.durable())
    bench.journal.abandon(new CodedError('lease_lost', 'lost'))
    for (const result of await Promise.allSettled(waiting))
      expect(result).toEqual({ status: 'rejected', reason: code('lease_lost') })
    expect(bench.broken).toEqual([code('lease_lost')])
    await turn()
    expect(bench.appends).toEqual([1])
  })

  test('a broken journal answers at once whoever waits for it to be durable, also where an entry was due', async () => {
    const bench = begin()
    bench.holdNext()
    const first = set(bench, 'a')
    await turn()
    const inFlight = [first, bench.journal.durable()]
    // While one entry is in flight the next is only due; nobody would cut it after the break.
    const due = [set(bench, 'b'), bench.journal.durable()]
    bench.journal.abandon(new CodedError('lease_lost', 'lost'))
    const after = [bench.journal.durable(), bench.journal.flush(), bench.journal.append('barrier')]
    for (const result of await Promise.allSettled([...inFlight, ...due, ...after]))
      expect(result).toEqual({ status: 'rejected', reason: code('lease_lost') })
  })

  test('a mark is refused when its journal breaks, even where the store never answers', async () => {
    const bench = begin()
    bench.holdNext()
    const mark = bench.journal.append('barrier')
    await turn()
    bench.journal.abandon(new CodedError('lease_lost', 'lost'))
    await expect(mark).rejects.toEqual(code('lease_lost'))
    expect(bench.broken).toEqual([code('lease_lost')])
  })

  test.for(['answers with trouble', 'does not answer at all'] as const)(
    'a store that %s for too long ends the session’s writing',
    async (how) => {
      const bench = begin()
      if (how === 'does not answer at all') bench.holdNext()
      else bench.failNext('store_unavailable', 1_000)
      const startMs = bench.clock.monotonicMs()
      const done = set(bench, 'a')
      done.catch(() => undefined)
      await turn()
      while (!(await isSettled(done))) await bench.clock.advance(1_000)
      await expect(done).rejects.toEqual(code('store_unavailable'))
      expect(bench.clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(60_000)
      expect(bench.broken).toEqual([code('store_unavailable')])
      const tries = bench.appends.length
      await bench.clock.advance(60_000)
      await turn()
      expect(bench.appends.length).toBe(tries)
    },
  )
})
