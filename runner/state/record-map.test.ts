import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeCbor } from '#shared/cbor.ts'
import { openChunk, RecordMap } from './record-map.ts'
import { bytes, contentOf } from './testing.ts'

const key = fc.constantFrom(
  'a/1',
  'a/2',
  'b/1',
  'session/1.0',
  'session/1.1',
  'pre-key/10',
  'pre-key/9',
  'z/',
)
const step = fc.oneof(
  fc.record({ do: fc.constant('set' as const), key, text: fc.string({ maxLength: 12 }) }),
  fc.record({ do: fc.constant('remove' as const), key }),
  fc.record({ do: fc.constant('repack' as const) }),
  fc.record({ do: fc.constant('clear' as const) }),
  fc.record({ do: fc.constant('become' as const) }),
)

describe('a record map', () => {
  test('answers like a plain map after any steps', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let records = new RecordMap()
        const plain = new Map<string, string>()
        for (const one of steps) {
          if (one.do === 'set') {
            records.set(one.key, bytes(one.text))
            plain.set(one.key, one.text)
          } else if (one.do === 'remove') {
            records.set(one.key, null)
            plain.delete(one.key)
          } else if (one.do === 'repack') records.repack()
          else if (one.do === 'clear') {
            records.clear()
            plain.clear()
          } else {
            const other = new RecordMap()
            other.become(records)
            records = other
          }
          for (const name of ['a/1', 'b/1', 'session/1.1', 'none'])
            expect(records.get(name)?.toString()).toBe(plain.get(name))
          expect(records.isEmpty).toBe(plain.size === 0)
        }
        const expected = [...plain].toSorted(([a], [b]) => (a < b ? -1 : 1))
        expect([...records.entries()].map(([name, value]) => [name, Buffer.from(value).toString()])).toEqual(
          expected,
        )
        expect(contentOf(new RecordMap(records.repack()))).toEqual(contentOf(records))
        expect([...records.idsOf('session')].every((id) => id.startsWith('1.'))).toBe(true)
      }),
      { numRuns: 200 },
    )
  })

  test('finds every record across many chunks, and only what is there', () => {
    const records = new RecordMap()
    const ids = Array.from({ length: 500 }, (_, at) => `pre-key/${at * 2}`)
    for (const id of ids) records.set(id, Buffer.alloc(300, id))
    expect(records.repack().length).toBeGreaterThan(4)
    for (const id of ids) expect(records.get(id)).toEqual(Buffer.alloc(300, id))
    for (let at = 1; at < 1000; at += 2) expect(records.get(`pre-key/${at}`)).toBeUndefined()
    expect(records.get('a')).toBeUndefined()
    expect(records.get('zz')).toBeUndefined()
  })

  test('names the ids of a type wherever its chunks begin and end, with what changed since', () => {
    const types = ['a', 'inbox', 'inbox-2', 'pre-key', 'session', 'z']
    const entry = fc.record({
      type: fc.constantFrom(...types),
      id: fc.integer({ min: 0, max: 30 }),
      size: fc.constantFrom(1, 3_000, 30_000),
      removed: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 60 }), fc.array(entry, { maxLength: 10 }), (packed, since) => {
        const records = new RecordMap()
        const plain = new Set<string>()
        for (const [part, list] of [packed, since].entries()) {
          for (const { type, id, size, removed } of list) {
            const name = `${type}/${id}`
            records.set(name, removed ? null : Buffer.alloc(size, name))
            if (removed) plain.delete(name)
            else plain.add(name)
          }
          if (part === 0) records.repack()
        }
        for (const type of [...types, 'none']) {
          const ids = [...plain].filter((name) => name.startsWith(`${type}/`)).toSorted()
          expect([...records.idsOf(type)].map((id) => `${type}/${id}`)).toEqual(ids)
        }
      }),
      { numRuns: 200 },
    )
  })

  test('keeps a record that is larger than a chunk', () => {
    const records = new RecordMap()
    records.set('big', Buffer.alloc(200_000, 'x'))
    records.set('small', bytes('s'))
    records.repack()
    expect(records.get('big')?.length).toBe(200_000)
    expect(records.get('small')).toEqual(bytes('s'))
  })

  test('counts the bytes that changed since the base', () => {
    const records = new RecordMap()
    records.set('a', Buffer.alloc(10))
    records.set('a', Buffer.alloc(4))
    records.set('b', Buffer.alloc(3))
    records.set('b', null)
    expect(records.overBytes).toBe(4)
    records.repack()
    expect(records.overBytes).toBe(0)
  })

  test('a state that did not change is not packed again', () => {
    const records = new RecordMap()
    records.set('a', bytes('1'))
    expect(records.repack()).toBe(records.repack())
  })

  test.for([
    ['no compression', bytes('nonsense')],
    ['no list', zstdCompressSync(encodeCbor({ a: 1 }))],
    ['a key without a value', zstdCompressSync(encodeCbor(['a']))],
    ['a value that is no bytes', zstdCompressSync(encodeCbor(['a', 'text']))],
    ['a key that is no text', zstdCompressSync(encodeCbor([1, Buffer.of(1)]))],
    ['more than a chunk may unfold to', zstdCompressSync(Buffer.alloc(65 * 1024 * 1024))],
  ])('a chunk of %s is refused', ([, packed]) => {
    expect(() => openChunk({ firstKey: 'a', packed: packed as Buffer })).toThrow(
      expect.objectContaining({ code: 'bad_bytes' }),
    )
  })
})
