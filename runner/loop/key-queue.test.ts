import { describe, expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { KeyQueue } from './key-queue.ts'

/** A queue whose passes last until they are let go. */
function begin(concurrency = 10) {
  const clock = fakeClock()
  const ran: string[] = []
  const failed: [string, string][] = []
  const running = new Map<string, (error?: Error) => void>()
  let most = 0
  const queue = new KeyQueue<string>({
    clock,
    concurrency,
    failed: (key, error) => failed.push([key, error.message]),
    run: (key) => {
      if (running.has(key)) throw new Error(`two passes of ${key} at once`)
      ran.push(key)
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      running.set(key, (error) => (error ? reject(error) : resolve()))
      most = Math.max(most, running.size)
      return promise.finally(() => running.delete(key))
    },
  })
  const finish = async (key: string, error?: Error): Promise<void> => {
    running.get(key)?.(error)
    await clock.settle()
  }
  return { clock, queue, ran, failed, running, finish, most: () => most }
}

describe('a queue of keys', () => {
  test('runs a key once that was added ten times', async () => {
    const { queue, ran, finish } = begin(1)
    queue.add('busy')
    for (let time = 0; time < 10; time++) queue.add('a')
    await finish('busy')
    await finish('a')
    expect(ran).toEqual(['busy', 'a'])
    expect(queue.size).toBe(0)
  })

  test('runs a key again, once, that was added while it ran', async () => {
    const { queue, ran, finish } = begin()
    queue.add('a')
    queue.add('a')
    queue.add('a')
    expect(ran).toEqual(['a'])
    await finish('a')
    expect(ran).toEqual(['a', 'a'])
    await finish('a')
    expect(queue.size).toBe(0)
  })

  test('a pass that adds its own key at once runs again after it, not beside it', async () => {
    const clock = fakeClock()
    let running = 0
    const atOnce: number[] = []
    const queue: KeyQueue<string> = new KeyQueue({
      clock,
      concurrency: 10,
      failed: (key, error) => expect.fail(`${key}: ${error.message}`),
      run: async (key) => {
        atOnce.push(++running)
        if (atOnce.length === 1) queue.add(key)
        await clock.settle()
        running--
      },
    })
    queue.add('a')
    await queue.idle()
    expect(atOnce).toEqual([1, 1])
  })

  test('runs no more keys at once than it may, in the order in which they were added', async () => {
    const { queue, ran, finish, most } = begin(2)
    for (const key of ['a', 'b', 'c', 'a', 'd']) queue.add(key)
    expect(ran).toEqual(['a', 'b'])
    await finish('b')
    expect(ran).toEqual(['a', 'b', 'c'])
    await finish('c')
    await finish('a')
    // `a` was added again while it ran, before `d`; it must not hold `d` up.
    expect(ran).toEqual(['a', 'b', 'c', 'd', 'a'])
    await finish('d')
    await finish('a')
    expect(most()).toBe(2)
  })

  test('B2 a pass that fails is told and stops no other', async () => {
    const { queue, ran, failed, finish } = begin(1)
    queue.add('bad')
    queue.add('good')
    await finish('bad', new Error('broken'))
    await finish('good')
    expect(failed).toEqual([['bad', 'broken']])
    expect(ran).toEqual(['bad', 'good'])
  })

  test('of several wishes for later the earliest counts', async () => {
    const { clock, queue, ran, finish } = begin()
    const now = clock.monotonicMs()
    queue.addAt('a', now + 300)
    queue.addAt('a', now + 100)
    queue.addAt('a', now + 200)
    await clock.advance(99)
    expect(ran).toEqual([])
    await clock.advance(1)
    expect(ran).toEqual(['a'])
    await finish('a')
    await clock.advance(1_000)
    expect(ran).toEqual(['a'])
    queue.addAt('a', now)
    await clock.advance(0)
    expect(ran).toEqual(['a', 'a'])
    await finish('a')
  })

  test('idle resolves when nothing runs or waits; timers do not count', async () => {
    const { clock, queue, finish } = begin(1)
    let idle = false
    queue.add('a')
    queue.add('b')
    queue.addAt('c', clock.monotonicMs() + 1_000)
    void queue.idle().then(() => (idle = true))
    await finish('a')
    expect(idle).toBe(false)
    await finish('b')
    expect(idle).toBe(true)
    await queue.close()
  })

  test('after close nothing starts, and close waits for what runs', async () => {
    const { clock, queue, ran, finish } = begin(1)
    queue.add('a')
    queue.add('b')
    queue.addAt('c', clock.monotonicMs() + 10)
    let closed = false
    const closing = queue.close().then(() => (closed = true))
    queue.add('d')
    queue.addAt('e', 0)
    await clock.advance(100)
    expect(closed).toBe(false)
    await finish('a')
    await closing
    await queue.close()
    expect(ran).toEqual(['a'])
    expect([queue.size, clock.timers]).toEqual([0, 0])
  })
})

test('a queue that waits forgets what is added before it begins', async () => {
  const ran: string[] = []
  const queue = new KeyQueue<string>({
    run: async (key) => void ran.push(key),
    failed: () => undefined,
    clock: fakeClock(),
    concurrency: 1,
    waits: true,
  })
  queue.add('early')
  queue.addAt('early', 0)
  queue.begin()
  queue.add('now')
  await queue.idle()
  expect(ran).toEqual(['now'])
  await queue.close()
  queue.begin()
  queue.add('late')
  await queue.idle()
  expect(ran).toEqual(['now'])
})
