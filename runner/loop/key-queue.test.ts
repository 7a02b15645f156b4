import { describe, expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { KeyQueue } from './key-queue.ts'

/** A queue whose passes last until they are let go. */
function begin(concurrency = 10, tenantOf?: (key: string) => string) {
  const clock = fakeClock()
  const ran: string[] = []
  const failed: [string, string][] = []
  const running = new Map<string, (error?: Error) => void>()
  let most = 0
  const queue = new KeyQueue<string>({
    clock,
    concurrency,
    placeForMs: 1_000,
    ...(tenantOf && { tenantOf }),
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
  test('F6: serves tenants in turn, however much one of them has waiting', async () => {
    const { queue, ran, finish } = begin(1, (key) => key.slice(0, key.indexOf('~')))
    queue.add('busy~0')
    for (let at = 0; at < 100; at++) queue.add(`greedy~${at}`)
    queue.add('quiet~1')
    for (const key of ['busy~0', 'greedy~0', 'quiet~1']) await finish(key)
    expect(ran).toEqual(['busy~0', 'greedy~0', 'quiet~1', 'greedy~1'])
  })

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
      placeForMs: 1_000,
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
    expect(await queue.close(1_000)).toEqual([])
  })

  test('after close nothing starts, and close waits for what runs', async () => {
    const { clock, queue, ran, finish } = begin(1)
    queue.add('a')
    queue.add('b')
    queue.addAt('c', clock.monotonicMs() + 10)
    let closed = false
    const closing = queue.close(1_000).then(() => (closed = true))
    queue.add('d')
    queue.addAt('e', 0)
    await clock.advance(100)
    expect(closed).toBe(false)
    await finish('a')
    await closing
    expect(await queue.close(1_000)).toEqual([])
    expect(ran).toEqual(['a'])
    expect([queue.size, clock.timers]).toEqual([0, 0])
  })

  test('F21 passes that hang hold up no other key, nor a second pass of their own', async () => {
    const { clock, queue, ran, finish } = begin(2)
    for (const key of ['hangs', 'hangs too', 'healthy', 'hangs', 'as healthy']) queue.add(key)
    await clock.advance(999)
    expect(ran).toEqual(['hangs', 'hangs too'])
    await clock.advance(1)
    expect(ran).toEqual(['hangs', 'hangs too', 'healthy', 'as healthy'])
    await finish('healthy')
    await finish('as healthy')
    await clock.advance(60_000)
    expect(ran).toHaveLength(4)
    await finish('hangs')
    expect(ran.at(-1)).toBe('hangs')
  })

  test('F21 however many hang, no more keys begin in the time of a place than there are places', async () => {
    const { clock, queue, running } = begin(2)
    for (let number = 0; number < 7; number++) queue.add(String(number))
    const atOnce: number[] = []
    for (let second = 0; second < 4; second++) {
      atOnce.push(running.size)
      await clock.advance(1_000)
    }
    expect(atOnce).toEqual([2, 4, 6, 7])
    const closing = queue.close(0)
    await clock.advance(0)
    await closing
    expect(clock.timers).toBe(0)
  })

  test('F21 closing does not wait for ever for a pass that hangs, and says which one it is', async () => {
    const { clock, queue, ran, finish } = begin(1)
    queue.add('hangs')
    queue.add('waits')
    const closing = queue.close(500)
    await clock.advance(500)
    expect(await closing).toEqual(['hangs'])
    await finish('hangs')
    expect([ran, await queue.close(500), clock.timers]).toEqual([['hangs'], [], 0])
  })
})

test('a queue that waits forgets what is added before it begins', async () => {
  const ran: string[] = []
  const queue = new KeyQueue<string>({
    run: async (key) => void ran.push(key),
    failed: () => undefined,
    clock: fakeClock(),
    concurrency: 1,
    placeForMs: 1_000,
    waits: true,
  })
  queue.add('early')
  queue.addAt('early', 0)
  queue.begin()
  queue.add('now')
  await queue.idle()
  expect(ran).toEqual(['now'])
  await queue.close(1_000)
  queue.begin()
  queue.add('late')
  await queue.idle()
  expect(ran).toEqual(['now'])
})
