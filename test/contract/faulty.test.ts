import { expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import { faulty, type Script } from './faulty.ts'
import { gather } from './promises.ts'

/** A port in miniature, with what the real ones have: a write, a list, a scan and a watch. */
function shelf() {
  const books: string[] = []
  return {
    books,
    add: async (book: string) => {
      books.push(book)
      return books.length
    },
    list: async () => [...books],
    async *scan() {
      yield* books
    },
    watch: () => ({ close: async () => {} }),
  }
}

const lost = new CodedError('store_unavailable', 'lost')

function make(script: Script<ReturnType<typeof shelf>>) {
  const store = shelf()
  return { store, books: store.books, port: faulty(store, script) }
}

test('works like the store where the script says nothing', async () => {
  const { port } = make({})
  expect(await port.add('a')).toBe(1)
  expect(await port.list()).toEqual(['a'])
  expect(await gather(port.scan())).toEqual(['a'])
  await port.watch().close()
})

test('fails before: the store was never asked', async () => {
  const { port, books } = make({ add: { kind: 'fail_before', error: lost } })
  await expect(port.add('a')).rejects.toBe(lost)
  expect(books).toEqual([])
})

test('fails after: the store did it all the same', async () => {
  const { port, books } = make({ add: { kind: 'fail_after', error: lost } })
  await expect(port.add('a')).rejects.toBe(lost)
  expect(books).toEqual(['a'])
})

test('takes the faults of a list call by call and works afterwards', async () => {
  const { port, books } = make({ add: [{ kind: 'none' }, { kind: 'fail_before', error: lost }] })
  await port.add('a')
  await expect(port.add('b')).rejects.toBe(lost)
  await port.add('c')
  expect(books).toEqual(['a', 'c'])
})

test('obeys a script that changes between calls', async () => {
  const script: Script<ReturnType<typeof shelf>> = {}
  const { port, books } = make(script)
  await port.add('a')
  script.add = { kind: 'fail_before', error: lost }
  await expect(port.add('b')).rejects.toBe(lost)
  delete script.add
  await port.add('c')
  expect(books).toEqual(['a', 'c'])
})

test('delays a call before the store is asked, until the test says so', async () => {
  const gate = Promise.withResolvers<void>()
  const { port, books } = make({ add: [{ kind: 'delay', until: gate.promise }] })
  const slow = port.add('slow')
  await port.add('quick')
  expect(books).toEqual(['quick'])
  gate.resolve()
  expect(await slow).toBe(2)
  expect(books).toEqual(['quick', 'slow'])
})

test('delays an answer after the store has done it', async () => {
  const gate = Promise.withResolvers<void>()
  const { port, books } = make({ add: [{ kind: 'delay', until: gate.promise, when: 'after' }] })
  const slow = port.add('slow')
  await port.add('quick')
  expect(books).toEqual(['slow', 'quick'])
  gate.resolve()
  expect(await slow).toBe(1)
})

test('answers a list as it was the last time', async () => {
  const { port } = make({ list: [{ kind: 'none' }, { kind: 'stale' }] })
  await port.add('a')
  await port.list()
  await port.add('b')
  expect(await port.list()).toEqual(['a'])
  expect(await port.list()).toEqual(['a', 'b'])
})

test('answers truly where a stale call has nothing to go back to', async () => {
  const { port } = make({ list: { kind: 'stale' } })
  await port.add('a')
  expect(await port.list()).toEqual(['a'])
})

test('fails and delays what iterates in the same ways', async () => {
  const gate = Promise.withResolvers<void>()
  const { port } = make({
    scan: [
      { kind: 'fail_before', error: lost },
      { kind: 'fail_after', error: lost },
      { kind: 'delay', until: gate.promise },
    ],
  })
  await port.add('a')
  await expect(gather(port.scan())).rejects.toBe(lost)
  const seen: string[] = []
  const cutShort = async () => {
    for await (const book of port.scan()) seen.push(book)
  }
  await expect(cutShort()).rejects.toBe(lost)
  expect(seen).toEqual(['a'])
  const slow = gather(port.scan())
  await port.add('b')
  gate.resolve()
  expect(await slow).toEqual(['a', 'b'])
})
