import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nameOfKey, type SessionKey } from '#shared/ids.ts'
import type { Stores } from '#shared/store/stores.ts'
import { job, keyOf, newSession, runner, status } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { KEY, memory } from '../runner.fixture.ts'
import { View } from './view.ts'

type Read = Pick<Stores, 'sessions' | 'removals' | 'owners' | 'jobs'>

/** Stores that look when they are asked, and answer when a test lets them: reads overtake each other as it likes. */
function held(stores: Read) {
  const waiting: (() => void)[] = []
  let isHeld = true
  const answer = async <T>(value: T): Promise<T> => {
    if (isHeld) await new Promise<void>((resolve) => waiting.push(resolve))
    return value
  }
  const later = async <T>(look: Promise<T>): Promise<T> => answer(await look)
  async function* listing<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    yield* await later(Array.fromAsync(items))
  }
  const slow: Read = {
    sessions: {
      ...stores.sessions,
      get: (key) => later(stores.sessions.get(key)),
      find: (name) => later(stores.sessions.find(name)),
      scan: () => listing(stores.sessions.scan()),
    },
    removals: {
      ...stores.removals,
      get: (key) => later(stores.removals.get(key)),
      scan: () => listing(stores.removals.scan()),
    },
    owners: {
      ...stores.owners,
      get: (key) => later(stores.owners.get(key)),
      scan: () => listing(stores.owners.scan()),
    },
    jobs: {
      ...stores.jobs,
      open: (key) => later(stores.jobs.open(key)),
      openKeys: () => later(stores.jobs.openKeys()),
    },
  }
  return {
    slow,
    /** How many wait. */
    get waiting() {
      return waiting.length
    },
    release: (at = 0): void => waiting.splice(at % Math.max(1, waiting.length), 1)[0]?.(),
    /** From here on nothing waits. */
    flow: (): void => {
      isHeld = false
      for (const go of waiting.splice(0)) go()
    },
  }
}

function begin() {
  const clock = fakeClock()
  const { stores } = memory(clock)
  const answers = held(stores)
  const view = new View(answers.slow, clock)
  const claim = (name: string, expectEpoch: number) =>
    stores.owners.claim({
      key: KEY,
      runnerId: runner(name),
      expectEpoch,
      nonce: `${name}${expectEpoch}`,
      nowMs: 1,
    })
  const restart = (key: SessionKey, nonce: string) =>
    stores.sessions.changeWant(key, (want) => want, { nonce, nowMs: 1 })
  return { clock, stores, answers, view, claim, restart }
}

describe('what is stored of a session', () => {
  test('F1 one that is created while a full pass reads is kept, though the listing does not hold it', async () => {
    const { clock, stores, answers, view } = begin()
    const pass = view.load()
    await clock.settle()
    await stores.sessions.create(newSession('acme', 'shop'))
    const hint = view.refreshSession(KEY)
    await clock.settle()
    answers.release(1)
    await hint
    expect(view.sessions.has(KEY)).toBe(true)
    answers.flow()
    await pass
    expect(view.sessions.has(KEY)).toBe(true)
  })

  test('F1 one that is gone is forgotten by a full pass, and the pass tells of it', async () => {
    const { stores, answers, view } = begin()
    answers.flow()
    await stores.sessions.create(newSession('acme', 'shop'))
    await view.load()
    await stores.sessions.erase(KEY)
    const told: SessionKey[] = []
    await view.load((key) => told.push(key))
    expect([told, view.sessions.size]).toEqual([[KEY], 0])
  })

  test('an answer that was overtaken takes nothing back', async () => {
    const { clock, stores, answers, view, restart } = begin()
    await stores.sessions.create(newSession('acme', 'shop'))
    const early = view.refreshSession(KEY)
    await clock.settle()
    await restart(KEY, 'n')
    const late = view.refreshSession(KEY)
    await clock.settle()
    answers.release(1)
    await late
    answers.release()
    await early
    expect(view.sessions.get(KEY)?.want.generation).toBe(2)
  })

  test('what was told meanwhile does not keep a newer want out', async () => {
    const { clock, stores, answers, view, restart } = begin()
    await stores.sessions.create(newSession('acme', 'shop'))
    const first = view.refreshSession(KEY)
    await clock.settle()
    answers.release()
    await first
    await restart(KEY, 'n')
    const hint = view.refreshSession(KEY)
    await clock.settle()
    view.noteStatus(KEY, status(1), 5)
    expect(view.sessions.get(KEY)).toMatchObject({ status: { epoch: 1 }, updatedAt: 5 })
    answers.release()
    await hint
    expect(view.sessions.get(KEY)?.want.generation).toBe(2)
  })

  test('F21 a read of one key that hangs holds up neither the full pass nor other keys', async () => {
    const { clock, stores, answers, view } = begin()
    answers.flow()
    const other = keyOf('acme', 'other')
    await stores.sessions.create(newSession('acme', 'shop'))
    await stores.sessions.create(newSession('acme', 'other'))
    await view.load()
    await stores.sessions.erase(KEY)
    await stores.sessions.erase(other)
    const { promise: never } = Promise.withResolvers<undefined>()
    answers.slow.sessions.get = (key) => (key === KEY ? never : stores.sessions.get(key))
    let isOver = false
    void view.load().then(() => (isOver = true))
    await clock.advance(5_000)
    expect([isOver, [...view.sessions.keys()]]).toEqual([true, [KEY]])
  })

  test('what could not be read by itself stays as it was known, and is counted', async () => {
    const { stores, answers, view } = begin()
    answers.flow()
    await stores.sessions.create(newSession('acme', 'shop'))
    await view.load()
    await stores.sessions.erase(KEY)
    answers.slow.sessions.get = () => Promise.reject(new Error('away'))
    expect(await view.load()).toBe(1)
    expect(view.sessions.has(KEY)).toBe(true)
  })
})

describe('the owner of a session', () => {
  test('F1 whose record is gone is believed no longer', async () => {
    const { stores, answers, view, claim } = begin()
    answers.flow()
    await claim('old', 0)
    await view.refreshOwner(KEY)
    await stores.owners.remove(KEY)
    await view.refreshOwner(KEY)
    expect(view.owners.has(KEY)).toBe(false)
    await claim('old', 0)
    await view.load()
    await stores.owners.remove(KEY)
    await view.load()
    expect([view.owners.has(KEY), view.learnedMs(KEY)]).toEqual([false, 0])
  })

  test('F1 of a record that began anew is believed at a lower epoch, whether it is read or told', async () => {
    const { stores, answers, view, claim } = begin()
    answers.flow()
    for (const epoch of [0, 1, 2]) await claim('old', epoch)
    await view.refreshOwner(KEY)
    await stores.owners.remove(KEY)
    const owner = await claim('new', 0)
    await view.hearOwner(KEY, owner)
    expect(view.owners.get(KEY)).toEqual(owner)
  })

  test('that a claim of ours was answered is not taken back by a read that began before', async () => {
    const { clock, answers, view, claim } = begin()
    const early = view.refreshOwner(KEY)
    await clock.settle()
    const owner = await claim('me', 0)
    view.noteOwner(KEY, owner)
    answers.release()
    await early
    expect(view.owners.get(KEY)).toEqual(owner)
  })

  test('an overtaken answer that knows a later epoch makes it read once more', async () => {
    const { clock, answers, view, claim } = begin()
    const mine = await claim('me', 0)
    const theirs = await claim('other', 1)
    const early = view.refreshOwner(KEY)
    await clock.settle()
    // Its answer was slow.
    view.noteOwner(KEY, mine)
    answers.flow()
    await early
    expect(view.owners.get(KEY)).toEqual(theirs)
  })

  test('a claim that is told after its release changes nothing', async () => {
    const { stores, answers, view, claim } = begin()
    answers.flow()
    const claimed = await claim('me', 0)
    await stores.owners.release({ key: KEY, runnerId: runner('me'), epoch: 1, nonce: 'r', nowMs: 2 })
    await view.refreshOwner(KEY)
    await view.hearOwner(KEY, claimed)
    expect(view.owners.get(KEY)?.runnerId).toBeUndefined()
  })
})

describe('the jobs of a session', () => {
  test('one that ended comes back with no answer', async () => {
    const { clock, stores, answers, view } = begin()
    await stores.jobs.create(KEY, job(1, { id: 'one' }))
    await stores.jobs.create(KEY, job(2, { id: 'two' }))
    const first = view.refreshJobs(KEY)
    await clock.settle()
    answers.release()
    await first
    const early = view.refreshJobs(KEY)
    await clock.settle()
    await stores.jobs.finish(KEY, 'one', { state: 'done', nowMs: 1 })
    view.endJob(KEY, 'one')
    expect(view.jobs.get(KEY)?.map(({ id }) => id)).toEqual(['two'])
    answers.release()
    await early
    expect(view.jobs.get(KEY)?.map(({ id }) => id)).toEqual(['two'])
    view.endJob(KEY, 'two')
    expect(view.jobs.has(KEY)).toBe(false)
  })
})

test('when nothing is to be answered any more, the view is what the read that began last found', async () => {
  const name = fc.constantFrom('a', 'b')
  const life = fc.constantFrom('1', '2')
  const changes = ['create', 'erase', 'delete', 'work off', 'want', 'claim', 'disown'] as const
  const command = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constantFrom(...changes), name, life }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('read', 'name', 'owner'), name, life }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('load' as const), name, life }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('answer' as const), name, life, at: fc.nat(20) }) },
  )
  const property = fc.asyncProperty(fc.array(command, { maxLength: 40 }), async (commands) => {
    const { clock, stores, answers, view, restart } = begin()
    const { sessions, owners, removals } = stores
    const reads: Promise<unknown>[] = []
    const owner = { runnerId: runner('x'), nowMs: 1 }
    for (const [at, step] of commands.entries()) {
      const key = keyOf('acme', step.name, step.life)
      const epoch = (await owners.get(key))?.epoch ?? 0
      const create = (): Promise<unknown> => sessions.create(newSession('acme', step.name, step.life))
      const act: Record<typeof step.do, () => unknown> = {
        create: () => create().catch(() => undefined),
        erase: () => sessions.erase(key),
        delete: () => sessions.remove(key, { purge: true, by: 'x', nowMs: 1 }).catch(() => undefined),
        'work off': () => removals.remove(key),
        want: () => restart(key, String(at)).catch(() => undefined),
        claim: () => owners.claim({ ...owner, key, expectEpoch: epoch, nonce: String(at) }),
        disown: () => owners.remove(key),
        read: () => void reads.push(view.refreshSession(key)),
        name: () => void reads.push(view.refreshName(nameOfKey(key))),
        owner: () => void reads.push(view.refreshOwner(key)),
        load: () => void reads.push(view.load()),
        answer: () => answers.release('at' in step ? step.at : 0),
      }
      await act[step.do]()
      await clock.settle()
    }
    const keys = ['a', 'b'].flatMap((one) => ['1', '2'].map((each) => keyOf('acme', one, each)))
    for (const key of keys) reads.push(view.refreshSession(key), view.refreshOwner(key))
    // The last to be asked are the first to answer.
    for (await clock.settle(); answers.waiting > 0; await clock.settle()) answers.release(answers.waiting - 1)
    await Promise.all(reads)
    for (const key of keys) {
      const [alive, removal] = [await sessions.get(key), await removals.get(key)]
      const shown = view.sessions.get(key)
      expect(shown?.want.generation).toBe((alive ?? removal?.session)?.want.generation)
      expect(shown?.want.deleting !== undefined).toBe(alive === undefined && removal !== undefined)
      expect(view.owners.get(key)).toEqual(await owners.get(key))
    }
  })
  await fc.assert(property, { numRuns: 60 })
})
