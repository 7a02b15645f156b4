import { describe, expect, test } from 'vitest'
import { macOf } from '#shared/envelope.ts'
import { CodedError } from '#shared/errors.ts'
import type { Witness } from '#shared/session.ts'
import { begin, code, isSettled, replayed, ring, set } from './journal.fixture.ts'
import { openEntry } from './sealed-entry.ts'
import { RecordMap } from './record-map.ts'
import { bytes, contentOf, KEY, turn } from './testing.ts'

describe('a journal', () => {
  test('changes the memory at once and resolves when the store has it', async () => {
    const bench = begin()
    const release = bench.holdNext()
    const done = set(bench, 'a')
    expect(contentOf(bench.records)).toEqual({ a: 'a' })
    expect(bench.journal.isDurable).toBe(false)
    expect(await isSettled(done)).toBe(false)
    release()
    await done
    await turn()
    expect(bench.journal.isDurable).toBe(true)
    expect(replayed(bench).content).toEqual({ a: 'a' })
  })

  test('sends everything that comes while an append is in flight together in the next', async () => {
    const bench = begin()
    const release = bench.holdNext()
    const first = set(bench, 'a')
    await turn()
    const later = Promise.all([set(bench, 'b'), set(bench, 'c'), set(bench, 'b', 'b2')])
    expect(await isSettled(later)).toBe(false)
    release()
    await first
    await later
    expect(replayed(bench)).toEqual({ content: { a: 'a', b: 'b2', c: 'c' }, changed: ['a', 'b c'] })
  })

  test('a record that changes twice in one entry is written over what the entry before left', async () => {
    const bench = begin()
    const long = (factor: number) => Array.from({ length: 200 }, (_, at) => at * factor).join()
    await set(bench, 'a', long(7919))
    await Promise.all([set(bench, 'a', long(7907)), set(bench, 'a', `${long(7907)} and more`)])
    await set(bench, 'a', `${long(7907)} and still more`)
    expect(replayed(bench).content).toEqual({ a: `${long(7907)} and still more` })
  })

  test('parallel changes of one turn share an entry', async () => {
    const bench = begin()
    await Promise.all([set(bench, 'a'), Promise.resolve().then(() => set(bench, 'b'))])
    expect(bench.appends).toEqual([1])
  })

  test('keeps one set in one entry, deletions too', async () => {
    const bench = begin()
    await set(bench, 'pre-key/7')
    const before = bench.appends.length
    await bench.journal.set([
      ['session/1', bytes('s')],
      ['pre-key/7', null],
    ])
    expect(bench.appends.length).toBe(before + 1)
    expect(replayed(bench).content).toEqual({ 'session/1': 's' })
  })

  test('closed: later writes are refused, earlier ones still become durable', async () => {
    const bench = begin()
    const release = bench.holdNext()
    const first = set(bench, 'a')
    await turn()
    const second = set(bench, 'b')
    bench.journal.close()
    await expect(set(bench, 'c')).rejects.toEqual(code('closed'))
    release()
    await Promise.all([first, second, bench.journal.flush()])
    expect(replayed(bench).content).toEqual({ a: 'a', b: 'b' })
    expect(bench.broken).toEqual([])
  })

  test('lazy changes make nobody wait and ride with the next entry', async () => {
    const bench = begin()
    await bench.journal.set([['device-list/1', bytes('d')]], { lazy: true })
    await turn()
    expect(bench.appends).toEqual([])
    await set(bench, 'session/1')
    expect(replayed(bench).changed).toEqual(['device-list/1 session/1'])
  })

  test('lazy changes that nothing took along are written a little later by themselves', async () => {
    const bench = begin()
    await bench.journal.set([['device-list/1', bytes('d')]], { lazy: true })
    await bench.clock.advance(5_000)
    await turn()
    await bench.journal.durable()
    expect(replayed(bench).content).toEqual({ 'device-list/1': 'd' })
  })

  test('flush takes the lazy changes too', async () => {
    const bench = begin()
    await bench.journal.flush()
    await bench.journal.set([['device-list/1', bytes('d')]], { lazy: true })
    await bench.journal.flush()
    expect(replayed(bench).content).toEqual({ 'device-list/1': 'd' })
  })

  test('A3 changed credentials start an entry at once, or ride with the one that is being gathered', async () => {
    const bench = begin()
    bench.live.creds = 'c1'
    bench.journal.credsChanged()
    await bench.journal.durable()
    bench.live.creds = 'c2'
    const done = set(bench, 'pre-key/1')
    bench.journal.credsChanged()
    bench.live.creds = 'c3'
    await done
    bench.journal.credsChanged()
    await bench.journal.flush()
    expect(replayed(bench)).toEqual({
      content: { 'creds/': 'c3', 'pre-key/1': 'pre-key/1' },
      changed: ['creds/', 'pre-key/1 creds/'],
    })
  })

  test('more than may wait is refused as overloaded, changes nothing, and passes when the store is back', async () => {
    const bench = begin()
    const release = bench.holdNext()
    const first = set(bench, 'a')
    await turn()
    const big = bench.journal.set([['big', Buffer.alloc(64 * 1024 * 1024 + 1)]])
    await expect(set(bench, 'c')).rejects.toEqual(code('overloaded'))
    expect(bench.records.get('c')).toBeUndefined()
    release()
    await Promise.all([first, big])
    await set(bench, 'c')
    expect(bench.broken).toEqual([])
  })

  test('a capture is exactly the state of its seq, under constant writes', async () => {
    const bench = begin()
    const captures: Promise<{ seq: number; content: Record<string, string> }>[] = []
    const capture = () =>
      bench.journal.capture().then(({ seq, chunks }) => ({ seq, content: contentOf(new RecordMap(chunks)) }))
    const writes: Promise<void>[] = []
    for (let at = 0; at < 60; at++) {
      const value = `${at} `.repeat(at % 4 === 0 ? 300 : 1)
      writes.push(set(bench, `k/${at % 7}`, at % 5 === 0 ? null : value))
      if (at % 4 === 0) captures.push(capture())
      if (at % 3 === 0) await turn()
      if (at % 9 === 0) captures.push(capture())
    }
    await Promise.all(writes)
    captures.push(capture())
    const entries = [...bench.stored.values()]
    for (const { seq, content } of await Promise.all(captures)) {
      const upTo = new Map(entries.filter((entry) => entry.seq <= seq).map((entry) => [entry.seq, entry]))
      expect(upTo.size).toBe(seq)
      expect(replayed({ stored: upTo }).content).toEqual(content)
    }
  })

  test('a capture waits until its entry is durable', async () => {
    const bench = begin()
    const release = bench.holdNext()
    const done = set(bench, 'a')
    await turn()
    const capture = bench.journal.capture()
    expect(await isSettled(capture)).toBe(false)
    release()
    await done
    expect((await capture).seq).toBe(1)
  })

  test('a mark is an entry of its own, after all that came before it', async () => {
    const bench = begin()
    const release = bench.holdNext()
    const order: string[] = []
    const say = (what: string) => () => order.push(what)
    const writes = [set(bench, 'a').then(say('a'))]
    await turn()
    writes.push(set(bench, 'b').then(say('b')), bench.journal.append('barrier').then(say('barrier')))
    release()
    await Promise.all(writes)
    await set(bench, 'c')
    expect(order).toEqual(['a', 'b', 'barrier'])
    expect(replayed(bench).changed).toEqual(['a', 'b', 'barrier', 'c'])
  })

  test('what is set while a mark is on its way never overtakes it', async () => {
    const bench = begin()
    await set(bench, 'old')
    const mark = bench.journal.append('reset', [['creds/', bytes('new')]])
    const writes: Promise<void>[] = []
    for (let at = 0; at < 20; at++) {
      writes.push(set(bench, `k/${at}`))
      if (at % 2 === 0) await Promise.resolve()
      else await turn()
    }
    await Promise.all([mark, ...writes])
    expect(replayed(bench).content).toEqual(contentOf(bench.records))
    expect(bench.broken).toEqual([])
  })

  test('replace keeps the other state first and then names its snapshot in the entry that decides', async () => {
    const bench = begin()
    await set(bench, 'old')
    bench.live.creds = 'of the old state'
    const other = new RecordMap()
    other.set('new', bytes('n'))
    const refused: unknown[] = []
    let kept: Witness | undefined
    const idOf = (seq: number): string => `id-of-snapshot-${seq}`
    await bench.journal.replace(other, idOf, async (id, at) => {
      expect(id).toBe('id-of-snapshot-2')
      kept = at
      expect(contentOf(bench.records)).toEqual({ old: 'old' })
      bench.journal.credsChanged()
      await set(bench, 'late').catch((error: unknown) => refused.push(error))
      await turn()
    })
    expect(refused).toEqual([code('conflict')])
    expect(contentOf(bench.records)).toEqual({ new: 'n' })
    const jump = [...bench.stored.values()].at(-1)
    if (!jump) throw new Error('no entry')
    expect(openEntry(KEY, jump, ring, new RecordMap())).toEqual({
      kind: 'jump',
      changes: [],
      snapshot: 'id-of-snapshot-2',
    })
    // The snapshot was told the MAC of the very entry that names it.
    expect(kept).toEqual({ seq: 2, mac: macOf(jump.sealed) })
    await set(bench, 'after')
    expect(bench.appends).toEqual([1, 2, 3])
  })

  test('a replace that could not keep the other state leaves the old one working', async () => {
    const bench = begin()
    await set(bench, 'old')
    const failure = new CodedError('store_unavailable', 'create')
    const replacing = bench.journal.replace(
      new RecordMap(),
      () => 'id',
      () => Promise.reject(failure),
    )
    await expect(replacing).rejects.toBe(failure)
    await set(bench, 'more')
    expect(replayed(bench).content).toEqual({ old: 'old', more: 'more' })
  })
})
