import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createTurns, FairQueue } from './fair-queue.ts'

const tenantOf = (item: string): string => item.slice(0, 1)
const filled = (...items: string[]): FairQueue<string> => {
  const queue = new FairQueue<string>()
  for (const item of items) queue.push(tenantOf(item), item)
  return queue
}
const drained = (queue: FairQueue<string>): string[] =>
  Array.from({ length: queue.size }, () => queue.next() ?? 'nothing')

describe('a fair queue', () => {
  test('F6: serves tenants in turn, and each in the order in which it came', () => {
    const queue = filled('a1', 'a2', 'a3', 'b1', 'b2', 'c1')
    expect(drained(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
    expect([queue.size, queue.next()]).toEqual([0, undefined])
  })

  test('F6: a quiet tenant is behind at most one item of each other, whatever was done before', () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ push: fc.constantFrom('a', 'b', 'c', 'd') }),
        fc.record({ serve: fc.constant(true) }),
      ),
      { maxLength: 60 },
    )
    fc.assert(
      fc.property(steps, (done) => {
        const queue = new FairQueue<string>()
        let made = 0
        for (const step of done) {
          if ('serve' in step) queue.next()
          else queue.push(step.push, `${step.push}${made++}`)
        }
        queue.push('q', 'quiet')
        const before = drained(queue)
        const ahead = before.slice(0, before.indexOf('quiet')).map(tenantOf)
        expect(ahead).toEqual([...new Set(ahead)])
      }),
    )
  })

  test('says beforehand the order in which it serves', () => {
    const queue = filled('a1', 'b1', 'a2', 'a3', 'b2', 'c1')
    queue.next()
    const said = [...queue.inTurn()]
    expect(said).toHaveLength(queue.size)
    expect(drained(queue)).toEqual(said)
  })

  test('keeps the place of one that is pushed again', () => {
    const queue = filled('a1', 'a2', 'a1')
    expect(queue.push('a', 'a1')).toBe(false)
    expect(drained(queue)).toEqual(['a1', 'a2'])
  })

  test('one that gives up costs its tenant no turn; one that is taken does', () => {
    const gaveUp = filled('a1', 'a2', 'b1')
    expect([gaveUp.drop('a', 'a1'), gaveUp.drop('a', 'a1')]).toEqual([true, false])
    expect(drained(gaveUp)).toEqual(['a2', 'b1'])
    const taken = filled('a1', 'a2', 'b1')
    expect([taken.take('a', 'a1'), taken.take('b', 'a2')]).toEqual([true, false])
    expect(drained(taken)).toEqual(['b1', 'a2'])
  })
})

describe('turns', () => {
  /** Works until it is told to end, and notes that it began. */
  function work(turns: ReturnType<typeof createTurns>) {
    const began: string[] = []
    const ends = new Map<string, () => void>()
    const ask = async (item: string, signal?: AbortSignal): Promise<void> => {
      const end = await turns.take(tenantOf(item), signal)
      began.push(item)
      ends.set(item, end)
    }
    const end = async (item: string): Promise<void> => {
      ends.get(item)?.()
      // What begins in its place does so within the microtasks of this turn.
      await new Promise((resolve) => setImmediate(resolve))
    }
    return { began, ask, end }
  }

  test('F6: let so many go on at once, and others in turn as they end', async () => {
    const turns = createTurns(2)
    const { began, ask, end } = work(turns)
    const asked = ['a1', 'a2', 'a3', 'a4', 'b1'].map((item) => ask(item))
    await Promise.all(asked.slice(0, 2))
    expect([began, turns.waiting]).toEqual([['a1', 'a2'], 3])
    await end('a1')
    await end('a1')
    expect(began).toEqual(['a1', 'a2', 'a3'])
    await end('a2')
    expect(began.at(-1)).toBe('b1')
    await end('a3')
    await end('b1')
    await Promise.all(asked)
    expect([began.at(-1), turns.waiting]).toEqual(['a4', 0])
  })

  test('whoever gives up waits no more and takes nobody’s place', async () => {
    const turns = createTurns(1)
    const { began, ask, end } = work(turns)
    await ask('a1')
    const impatient = new AbortController()
    const gone = ask('b1', impatient.signal)
    const patient = ask('c1')
    impatient.abort(new Error('gone'))
    await expect(gone).rejects.toThrow('gone')
    await expect(ask('b2', impatient.signal)).rejects.toThrow('gone')
    await end('a1')
    await patient
    expect([began, turns.waiting]).toEqual([['a1', 'c1'], 0])
  })
})
