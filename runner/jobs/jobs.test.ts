import { expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import { seededRandom } from '#shared/random.ts'
import type { Job } from '#shared/store/job-store.ts'
import { job, runner } from '#test/contract/samples.ts'
import { Gate } from '../gate/gate.ts'
import { View } from '../loop/view.ts'
import { KEY, keyOf, recordedLog, sessionOf } from '../runner.fixture.ts'
import { sessionInHand } from '../session/live-session.fixture.ts'
import { dataKeys } from '../state/data-keys.ts'
import { runJob, type JobNeeds } from './jobs.ts'

/** A snapshot job of a session in hand; this is what happens when its snapshot is to be recorded. */
async function begin(record: () => Promise<never>, more: Partial<Job> = { kind: 'snapshot' }) {
  const { live, clock, stores, rehydrate } = await sessionInHand({
    through: (whole) => ({ ...whole, snapshots: { ...whole.snapshots, record } }),
  })
  await rehydrate()
  const view = new View(stores, clock)
  const { log, lines } = recordedLog()
  const lease = { isGood: true, id: runner('me') }
  const context = {
    stores,
    clock,
    view,
    lease,
    log,
    dataKeys: dataKeys({ stores, clock, random: seededRandom(1) }),
    live: new Map([[KEY, live]]),
    gate: new Gate(clock, () => undefined),
    transfer: { identities: record, exports: { to: 'passphrase' } as const },
    reporter: {
      event: () => undefined,
      background: (_: string, work: () => Promise<void>) => (void work(), true),
    },
  } satisfies JobNeeds
  const { id } = await stores.jobs.create(KEY, job(1, more))
  await view.refreshJobs(KEY)
  return {
    context,
    lease,
    lines,
    run: () => runJob(context, KEY, sessionOf(), id),
    stored: () => stores.jobs.get(KEY, id),
  }
}

/** https://github.com/pinojs/pino/blob/main/docs/api.md#loggerlevels-object */
const INFO = 30
const ERROR = 50

const fails = (): Promise<never> => Promise.reject(new CodedError('conflict', 'somebody was faster'))

test('a job that fails ends, and says why', async () => {
  const { run, stored } = await begin(fails)
  await run()
  expect(await stored()).toMatchObject({ state: 'failed', error: { code: 'conflict' } })
})

test.for(['bad_import', 'wrong_passphrase', 'newer_state'] as const)(
  'a job that a tenant asked wrongly is nothing for the operator to mend, and shows nothing of itself: %s',
  async (code) => {
    const cause = new SyntaxError('Unexpected token in JSON: "noiseKey":{"private"')
    const { run, lines } = await begin(() => Promise.reject(new CodedError(code, 'import', { cause })))
    await run()
    expect(lines).toMatchObject([
      { level: INFO, message: 'job refused', job: 'snapshot', code },
      { level: INFO, message: 'job ended' },
    ])
    expect(JSON.stringify(lines)).not.toMatch(/noiseKey|stack/)
  },
)

test.for([new CodedError('wrong_key', 'unwrap'), new Error('a bug')])(
  'a job that fails by a fault of ours is told to the operator, with its cause: %s',
  async (fault) => {
    const { run, lines } = await begin(() => Promise.reject(fault))
    await run()
    expect(lines[0]).toMatchObject({ level: ERROR, message: 'job failed', error: { message: fault.message } })
  },
)

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

/** An import with something to open, which is where it meets what a test wants it to meet. */
const IMPORT = { kind: 'import', args: { object: 'imports/x', sealedPassphrase: 'x', force: true } } as const
const gone = (name: string) => ({ runner: runner(name), epoch: 1 })

test('F3: a job that three runners took with them is put aside by name, and its upload is gone', async () => {
  const { context, run, stored } = await begin(() => Promise.reject(new Error('never read')), IMPORT)
  await context.stores.blobs.create('imports/x', [Buffer.of(1)])
  for (const name of ['one', 'two', 'three']) await context.stores.jobs.begin(KEY, 'job-1', gone(name))
  await run()
  expect(await stored()).toMatchObject({ state: 'failed', error: { code: 'quarantined' }, args: {} })
  expect(await context.stores.blobs.list('imports/')).toEqual([])
})

test('a job that runners stopped by themselves is done however often that was', async () => {
  const { context, run, stored } = await begin(fails, IMPORT)
  for (const name of ['one', 'two', 'three', 'four']) {
    await context.stores.jobs.begin(KEY, 'job-1', gone(name))
    await context.stores.jobs.interrupt(KEY, 'job-1', gone(name))
  }
  await run()
  expect(await stored()).toMatchObject({ error: { code: 'conflict' }, latestTry: { number: 5, vanished: 0 } })
})

test('an import that a drain interrupts says so, and stays open', async () => {
  const { run, stored } = await begin(() => Promise.reject(new CodedError('closed', 'drain')), IMPORT)
  await run()
  expect(await stored()).toMatchObject({
    state: 'open',
    latestTry: { runner: 'me', number: 1, interrupted: true },
  })
})

test('F3: an import that is not in turn is not begun, and the session is told to wait', async () => {
  const { context, run, stored } = await begin(fails, IMPORT)
  context.gate.enter(keyOf('other'))
  await run()
  expect(await stored()).not.toHaveProperty('latestTry')
  expect(context.gate.waits(KEY)).toBe(true)
})
