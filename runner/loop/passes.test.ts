import { expect, test } from 'vitest'
import type { SessionKey } from '#shared/ids.ts'
import type { Status } from '#shared/session.ts'
import { lease as leaseOf, newSession, runner } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { BootReport } from '../pacing/boot-report.ts'
import { FleetBreaker } from '../pacing/breaker.ts'
import { LoopLag } from '../pacing/loop-lag.ts'
import { Claims } from '../ownership/claims.ts'
import { RunnersSeen } from '../ownership/runners-seen.ts'
import { Passes, type PassNeeds, type Steps } from './passes.ts'
import { keyOf, memory, silent, statusOf } from '../runner.fixture.ts'
import { LateLogins } from '../session/late-logins.ts'
import type { LiveSession } from '../session/live-session.ts'
import { lentTo } from '../session/live-session.fixture.ts'
import { claim, leave, type ClaimNeeds, type LeaveNeeds } from './steps/ownership.ts'
import { View } from './view.ts'

const ME = runner('me')
const KEY = keyOf('shop')

/** A session that nobody owns and somebody wants running, one runner to look at it, and the others that are there. */
async function begin(others: readonly string[], phase?: Status['phase'], predecessor?: 'lost' | 'dead') {
  const clock = fakeClock()
  const { stores, db } = memory(clock)
  await stores.sessions.create(newSession('acme', 'shop'))
  if (phase)
    await stores.sessions.reportStatus(KEY, statusOf({ phase, epoch: 0, authenticatedAt: 1 }), clock.nowMs())
  for (const id of [ME, ...others.map(runner)])
    await stores.runners.renew(leaseOf(id, 1, { leaseForMs: 3_600_000 }))
  if (predecessor) {
    const runnerId = runner('before')
    await stores.owners.claim({ key: KEY, runnerId, expectEpoch: 0, nonce: 'n', nowMs: clock.nowMs() })
    if (predecessor === 'dead') db.provenDead.add(runnerId)
  }
  const runners = new RunnersSeen({
    store: stores.runners,
    clock,
    me: ME,
    times: { renewWithinMs: 6_500, leaseForMs: 10_000 },
  })
  await runners.refresh()
  const view = new View(stores, clock)
  await view.load()
  const lease = { id: ME, isGood: true, term: 1, draining: false }
  const lag = new LoopLag()
  const lateLogins = new LateLogins()
  const context = {
    stores,
    clock,
    runners,
    view,
    lease,
    lag,
    claims: new Claims(lease),
    live: new Map<SessionKey, LiveSession>(),
    sessionDeps: lentTo(clock, stores),
    lateLogins,
    unlinking: { isBusy: () => false },
    unlinkingRemoved: { isBusy: () => false },
    random: { id: () => 'nonce' },
    queue: { add: () => undefined, addAt: () => undefined },
    pacer: { done: () => undefined },
    breaker: new FleetBreaker(() => undefined),
    version: { accepted: () => undefined },
    reporter: { event: () => undefined, forget: () => undefined },
    boot: new BootReport(silent, clock.monotonicMs()),
    log: silent,
    gate: { waits: () => false, leave: () => undefined },
  } satisfies PassNeeds & ClaimNeeds & LeaveNeeds
  const steps: Steps = {
    act: async (key, session, step) => {
      return step.do === 'claim' ? claim(context, key, session) : 'taken'
    },
    failed: (_, __, thrown) => {
      throw thrown
    },
    leave: (key) => leave(context, key),
    settleVerdict: async () => undefined,
    unlinkSuperseded: () => undefined,
    snapshotIfDue: () => undefined,
    reportStatus: () => undefined,
  }
  const passes = new Passes(context, steps, {
    reconcile: true,
    capacity: 10,
    isDraining: () => false,
    isLeaving: () => false,
  })
  const hold = (): void => {
    lag.ticked(clock.monotonicMs() - 20_000, 1_000)
    lag.ticked(clock.monotonicMs(), 1_000)
  }
  const ownerAfter = async (ms: number): Promise<string | undefined> => {
    await clock.advance(ms)
    await passes.run(KEY)
    return (await stores.owners.get(KEY))?.runnerId
  }
  const erase = async (): Promise<void> => {
    await stores.sessions.remove(KEY, { purge: true, by: 'test', nowMs: clock.nowMs() })
    await stores.removals.remove(KEY)
    await view.refreshSession(KEY)
    await passes.run(KEY)
  }
  return {
    clock,
    claims: context.claims,
    lateLogins,
    hold,
    ownerAfter,
    erase,
    mayBeOurs: () => lateLogins.explain(KEY, clock.monotonicMs()),
  }
}

test('B3 a runner whose event loop was held up leaves a session to the others, and takes it when nobody does', async () => {
  const { hold, ownerAfter } = await begin(['other'])
  hold()
  expect(await ownerAfter(0)).toBeUndefined()
  expect(await ownerAfter(5_999)).toBeUndefined()
  expect(await ownerAfter(1)).toBe(ME)
})

test('alone it takes the session at once, whatever held it up', async () => {
  const { hold, ownerAfter } = await begin([])
  hold()
  expect(await ownerAfter(0)).toBe(ME)
})

test.for([
  ['connecting', true],
  ['backing_off', true],
  ['connected', false],
  ['stopped', false],
] as const)(
  'E1 after a predecessor that was %s, a 440 may be the doing of its login: %s',
  async ([phase, may]) => {
    const { ownerAfter, mayBeOurs } = await begin([], phase)
    expect(await ownerAfter(0)).toBe(ME)
    expect(mayBeOurs()).toBe(may)
  },
)

test.for([
  ['lost', true],
  ['dead', false],
] as const)(
  'E1 after a takeover from a runner that is %s, a 440 may be the doing of its login: %s',
  async ([predecessor, may]) => {
    const { ownerAfter, mayBeOurs } = await begin([], 'connected', predecessor)
    expect(await ownerAfter(0)).toBe(ME)
    expect(mayBeOurs()).toBe(may)
  },
)

test('F3 of a session that another runner removed nothing is remembered', async () => {
  const { clock, claims, lateLogins, erase } = await begin(['other'])
  claims.giveBack(KEY, 1)
  lateLogins.note(KEY, clock.monotonicMs())
  await erase()
  expect(lateLogins.isOpen(KEY, clock.monotonicMs())).toBe(false)
  // What was given back is told from what is left over in our name; of this one nobody knows any more.
  expect(claims.isLeftOver(KEY, { runnerId: ME, epoch: 1, since: 0, nonce: 'n' })).toBe(true)
})
