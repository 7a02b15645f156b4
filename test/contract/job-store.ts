import { expect } from 'vitest'
import { eventually } from './eventually.ts'
import { contract, race, type ContractOptions, type Make } from './promises.ts'
import { AT, job, keyOf, runner, tenant } from './samples.ts'

const KEY = keyOf('t', 's')

/** The promises of `JobStore`. */
export function jobStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('JobStore', make, options, (promise) => {
    promise(
      'keeps a job that was acknowledged when the client closes at once',
      async ({ stores, reopen }) => {
        expect(await stores.jobs.create(KEY, job(1))).toEqual(job(1))
        await stores.close()
        expect(await (await reopen()).jobs.get(KEY, 'job-1')).toEqual(job(1))
      },
    )

    promise('answers undefined for a job that does not exist', async ({ stores }) => {
      await stores.jobs.create(KEY, job(1))
      expect(await stores.jobs.get(KEY, 'job-2')).toBeUndefined()
      expect(await stores.jobs.get(keyOf('t', 's2'), 'job-1')).toBeUndefined()
    })

    promise('answers what is stored when an id comes again', async ({ stores }) => {
      await stores.jobs.create(KEY, job(1))
      expect(await stores.jobs.create(KEY, job(1, { kind: 'reset' }))).toEqual(job(1))
      await stores.jobs.finish(KEY, 'job-1', { state: 'done', nowMs: AT + 9 })
      expect(await stores.jobs.create(KEY, job(1))).toMatchObject({ state: 'done' })
    })

    promise(
      'F6: open imports are as many as the tenant may have, whoever races',
      async ({ stores, reopen }) => {
        await stores.tenants.create({ id: tenant('t'), name: 'T', limits: { imports: 2 }, createdAt: AT })
        const other = await reopen()
        const create = (number: number) =>
          (number % 2 === 0 ? stores : other).jobs.create(
            keyOf('t', `s${number}`),
            job(number, { kind: 'import' }),
          )
        expect(await race([1, 2, 3, 4, 5].map(create))).toEqual({ won: 2, codes: ['limit_reached'] })
        expect(await stores.tenants.used(tenant('t'))).toMatchObject({ imports: 2 })
        // Other work is not refused, nor another tenant's, whose name may begin like this one's.
        await stores.jobs.create(KEY, job(6, { kind: 'export' }))
        await stores.jobs.create(keyOf('t2', 's'), job(7, { kind: 'import' }))
        await expect(create(8)).rejects.toMatchObject({
          code: 'limit_reached',
          limit: { quota: 'imports', used: 2, allowed: 2 },
        })
        const open: number[] = []
        for (const number of [1, 2, 3, 4, 5])
          if (await stores.jobs.get(keyOf('t', `s${number}`), `job-${number}`)) open.push(number)
        const [ended = 0, swept = 0] = open
        // A repeat is the job that there is.
        expect(await create(ended)).toMatchObject({ state: 'open' })
        await stores.jobs.finish(keyOf('t', `s${ended}`), `job-${ended}`, { state: 'failed', nowMs: AT + 9 })
        await stores.jobs.sweep({ key: keyOf('t', `s${swept}`) })
        expect(await stores.tenants.used(tenant('t'))).toMatchObject({ imports: 0 })
        expect(await create(9)).toMatchObject({ state: 'open' })
      },
    )

    promise('lists the open ones of a session, oldest first', async ({ stores }) => {
      for (const number of [1, 2, 3]) await stores.jobs.create(KEY, job(number))
      await stores.jobs.create(keyOf('t', 's2'), job(4))
      await stores.jobs.finish(KEY, 'job-2', { state: 'done', nowMs: AT + 9 })
      expect(await stores.jobs.open(KEY)).toEqual([job(1), job(3)])
      expect(await stores.jobs.open(keyOf('t', 's3'))).toEqual([])
    })

    promise('names each session that has an open job once', async ({ stores }) => {
      expect(await stores.jobs.openKeys()).toEqual([])
      for (const number of [1, 2]) await stores.jobs.create(KEY, job(number))
      await stores.jobs.create(keyOf('u', 's'), job(1))
      await stores.jobs.create(keyOf('u', 'ended'), job(1))
      await stores.jobs.finish(keyOf('u', 'ended'), 'job-1', { state: 'failed', nowMs: AT + 9 })
      expect((await stores.jobs.openKeys()).toSorted()).toEqual([KEY, keyOf('u', 's')])
    })

    promise(
      'ends a job with its result or its error and without its arguments, durably',
      async ({ stores, reopen }) => {
        await stores.jobs.create(KEY, job(1))
        await stores.jobs.create(KEY, job(2))
        const result = { blob: 'exports/t/s/1', bytes: 12, ok: true }
        const error = { code: 'no_state', detail: 'never paired' }
        await stores.jobs.finish(KEY, 'job-1', { state: 'done', result, nowMs: AT + 7 })
        await stores.jobs.finish(KEY, 'job-2', { state: 'failed', error, nowMs: AT + 8 })
        await stores.close()
        const { jobs } = await reopen()
        expect(await jobs.get(KEY, 'job-1')).toEqual({
          ...job(1),
          args: {},
          state: 'done',
          result,
          finishedAt: AT + 7,
        })
        expect(await jobs.get(KEY, 'job-2')).toEqual({
          ...job(2),
          args: {},
          state: 'failed',
          error,
          finishedAt: AT + 8,
        })
      },
    )

    promise('leaves a job that has ended as it ended', async ({ stores }) => {
      await stores.jobs.create(KEY, job(1))
      await stores.jobs.finish(KEY, 'job-1', { state: 'done', nowMs: AT + 7 })
      await stores.jobs.finish(KEY, 'job-1', {
        state: 'failed',
        error: { code: 'x', detail: 'y' },
        nowMs: AT + 8,
      })
      expect(await stores.jobs.get(KEY, 'job-1')).toEqual({
        ...job(1),
        args: {},
        state: 'done',
        finishedAt: AT + 7,
      })
    })

    const one = { runner: runner('one'), epoch: 1 }
    const two = { runner: runner('two'), epoch: 2 }

    promise(
      'notes who begins a job, and that the one before vanished, durably',
      async ({ stores, reopen }) => {
        await stores.jobs.create(KEY, job(1))
        expect(await stores.jobs.begin(KEY, 'job-1', one)).toMatchObject({
          ...job(1),
          latestTry: { ...one, number: 1, vanished: 0 },
        })
        await stores.jobs.begin(KEY, 'job-1', one)
        const { jobs } = await reopen()
        const latestTry = { ...two, number: 2, vanished: 1 }
        expect(await jobs.begin(KEY, 'job-1', two)).toMatchObject({ latestTry })
        expect(await stores.jobs.open(KEY)).toEqual([{ ...job(1), latestTry }])
      },
    )

    promise('notes that a worker stopped by itself, and not that of another', async ({ stores }) => {
      await stores.jobs.create(KEY, job(1))
      await stores.jobs.interrupt(KEY, 'job-1', one)
      expect(await stores.jobs.get(KEY, 'job-1')).toEqual(job(1))
      await stores.jobs.begin(KEY, 'job-1', one)
      await stores.jobs.interrupt(KEY, 'job-1', two)
      expect((await stores.jobs.get(KEY, 'job-1'))?.latestTry).toEqual({ ...one, number: 1, vanished: 0 })
      await stores.jobs.interrupt(KEY, 'job-1', one)
      expect((await stores.jobs.get(KEY, 'job-1'))?.latestTry).toMatchObject({ interrupted: true })
      const next = { ...two, number: 2, vanished: 0 }
      expect((await stores.jobs.begin(KEY, 'job-1', two))?.latestTry).toEqual(next)
    })

    promise('begins nothing that is not there or has ended', async ({ stores }) => {
      expect(await stores.jobs.begin(KEY, 'job-1', one)).toBeUndefined()
      await stores.jobs.create(KEY, job(1))
      await stores.jobs.finish(KEY, 'job-1', { state: 'done', nowMs: AT + 7 })
      expect(await stores.jobs.begin(KEY, 'job-1', one)).toBeUndefined()
      await stores.jobs.interrupt(KEY, 'job-1', one)
      expect(await stores.jobs.get(KEY, 'job-1')).not.toHaveProperty('latestTry')
    })

    promise('removes those that ended before a time and leaves the open ones', async ({ stores }) => {
      for (const number of [1, 2, 3]) await stores.jobs.create(KEY, job(number))
      await stores.jobs.finish(KEY, 'job-1', { state: 'done', nowMs: AT + 7 })
      await stores.jobs.finish(KEY, 'job-2', { state: 'done', nowMs: AT + 9 })
      expect(await stores.jobs.sweep({ olderThanMs: AT + 8 })).toBe(1)
      expect(await stores.jobs.get(KEY, 'job-1')).toBeUndefined()
      expect(await stores.jobs.open(KEY)).toEqual([job(3)])
      expect(await stores.jobs.sweep({ key: KEY })).toBe(2)
      expect(await stores.jobs.open(KEY)).toEqual([])
    })

    promise('tells the watch of another client of a new job', async ({ stores, reopen }) => {
      const heard: string[] = []
      const watch = (await reopen()).jobs.watch((key) => heard.push(key))
      await stores.jobs.create(KEY, job(1))
      await eventually('the job is heard', () => heard.includes(KEY))
      await watch.close()
    })
  })
}
