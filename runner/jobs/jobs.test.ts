import { expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import { job } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import type { RunnerContext } from '../loop/context.ts'
import { KEY, liveOf, memory, sessionOf, silent } from '../runner.fixture.ts'
import type { SessionState } from '../state/session-state.ts'
import { View } from '../loop/view.ts'
import { runJob } from './jobs.ts'

/** A snapshot job of a session here whose state does this when it is asked for one. */
async function begin(snapshot: () => Promise<never>) {
  const clock = fakeClock()
  const { stores } = memory(clock)
  const view = new View(stores, clock)
  const lease = { isGood: true }
  const live = liveOf({ state: { snapshot } as unknown as SessionState })
  const context = {
    stores,
    clock,
    view,
    lease,
    log: silent,
    live: new Map([[KEY, live]]),
    reporter: { event: () => undefined },
  } as unknown as RunnerContext
  const { id } = await stores.jobs.create(KEY, job(1, { kind: 'snapshot' }))
  await view.refreshJobs(KEY)
  return {
    context,
    lease,
    run: () => runJob(context, KEY, sessionOf(), id),
    stored: () => stores.jobs.get(KEY, id),
  }
}

const fails = (): Promise<never> => Promise.reject(new CodedError('conflict', 'somebody was faster'))

test('a job that fails ends, and says why', async () => {
  const { run, stored } = await begin(fails)
  await run()
  expect(await stored()).toMatchObject({ state: 'failed', error: { code: 'conflict' } })
})

test('a job whose store is away stays open', async () => {
  const { run, stored } = await begin(() => Promise.reject(new CodedError('store_unavailable', 'scripted')))
  await expect(run()).rejects.toMatchObject({ code: 'store_unavailable' })
  expect(await stored()).toMatchObject({ state: 'open' })
})

test('a job that fails after the session was lost stays open for its new owner', async () => {
  const { context, run, stored } = await begin(() => {
    context.live.delete(KEY)
    return fails()
  })
  await expect(run()).rejects.toMatchObject({ code: 'lease_lost' })
  expect(await stored()).toMatchObject({ state: 'open' })
})

test('a job that fails after the lease ran out stays open', async () => {
  const { lease, run, stored } = await begin(() => {
    lease.isGood = false
    return fails()
  })
  await expect(run()).rejects.toMatchObject({ code: 'lease_lost' })
  expect(await stored()).toMatchObject({ state: 'open' })
})
