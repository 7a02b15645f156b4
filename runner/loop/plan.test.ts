import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { JOB_KINDS } from '#shared/store/job-store.ts'
import { plan, REST_REASONS, type Have, type PlanWant, type Step } from './plan.ts'

const NOW = 100

/** A connected session of ours, as it is wanted. */
const calm: Have = {
  lease: 'good',
  draining: false,
  leaving: false,
  owner: 'ours',
  unreleased: false,
  claimAtMs: 0,
  state: 'loaded',
  readable: true,
  removeAtMs: 0,
  paired: true,
  socket: 'open',
  socketGeneration: 1,
  block: undefined,
  retryAtMs: 0,
  breakerUntilMs: 0,
  job: undefined,
  pairingUntilMs: 0,
  behind: false,
  owes: false,
}
const running: PlanWant = { state: 'running', deleting: false, restart: 0 }
const stopped: PlanWant = { ...running, state: 'stopped' }
const deleting: PlanWant = { ...running, deleting: true }
const restarted: PlanWant = { ...running, restart: 2 }

const idle = { socket: 'none' } as const
const bare = { state: 'none', socket: 'none' } as const
const free = { ...bare, owner: 'claimable' } as const
const forever = { untilMs: undefined }
const job = { id: 'j', kind: 'snapshot' } as const

const rest = (why: (typeof REST_REASONS)[number], untilMs?: number): Step => ({
  do: 'rest',
  why,
  ...(untilMs === undefined ? {} : { untilMs }),
})
const drop: Step = { do: 'drop' }
const claim: Step = { do: 'claim' }
const rehydrate: Step = { do: 'rehydrate' }
const open: Step = { do: 'open' }
const release: Step = { do: 'release' }
const close = (why: Extract<Step, { do: 'close' }>['why']): Step => ({ do: 'close', why })

/** One row for every decision of the policy, in the order of `plan`. */
const rows: readonly [says: string, want: PlanWant, have: Partial<Have>, step: Step][] = [
  ['drops the socket once the lease is lost', running, { lease: 'lost' }, drop],
  ['drops the state once the lease is lost', running, { lease: 'lost', ...idle }, drop],
  ['touches nothing without a lease', running, { lease: 'lost', ...free }, rest('lease_lost')],
  ['E7 drops without a flush once another runner owns it', running, { owner: 'theirs' }, drop],
  ['E7 leaves alone what another runner owns', running, { ...bare, owner: 'theirs' }, rest('not_ours')],
  ['drops what it holds of an unowned session', running, { owner: 'claimable', ...idle }, drop],

  [
    'keeps a stopped session until what it received is delivered',
    stopped,
    { ...idle, owes: true },
    rest('delivering'),
  ],
  ['keeps a blocked one alike', running, { ...idle, block: forever, owes: true }, rest('delivering')],
  [
    'keeps one without credentials alike',
    running,
    { ...idle, paired: false, owes: true },
    rest('delivering'),
  ],
  ['closes the connection of one first', stopped, { owes: true }, close('stopped')],
  ['rebuilds one that owes, to deliver', stopped, { ...bare, owes: true }, rehydrate],
  ['claims one that owes, also when nothing else is wanted of it', stopped, { ...free, owes: true }, claim],
  ['claims a blocked one that owes', running, { ...free, block: forever, owes: true }, claim],
  ['hands one that owes over all the same', stopped, { ...idle, owes: true, leaving: true }, release],
  ['claims nothing while it drains', running, { ...free, draining: true }, rest('draining')],
  [
    'gives back what is left in its name while it drains',
    running,
    { ...free, draining: true, unreleased: true },
    release,
  ],
  ['claims anew what is left in its name', running, { ...free, unreleased: true }, claim],
  ['E1 claims no session in conflict', running, { ...free, block: forever }, rest('blocked')],
  ['waits for the end of a block', running, { ...free, block: { untilMs: 101 } }, rest('blocked', 101)],
  ['claims at the very end of a block', running, { ...free, block: { untilMs: 100 } }, claim],
  [
    'claims a blocked session to answer a new want',
    running,
    { ...free, block: forever, behind: true },
    claim,
  ],
  ['claims a blocked session for a job', running, { ...free, block: forever, job }, claim],
  ['claims a blocked session to delete it', deleting, { ...free, block: { untilMs: 101 } }, claim],
  ['claims a session that was paired', running, free, claim],
  ['A5 never starts a pairing by itself', running, { ...free, paired: false }, rest('unpaired')],
  ['claims for a pairing window', running, { ...free, paired: false, pairingUntilMs: 101 }, claim],
  ['claims for the first look', running, { ...free, paired: false, behind: true }, claim],
  ['leaves a stopped session alone', stopped, free, rest('nothing_to_do')],
  ['claims a stopped session to say that it is', stopped, { ...free, behind: true }, claim],
  ['claims a stopped session for a job', stopped, { ...free, job }, claim],
  ['claims a stopped session to delete it', { ...stopped, deleting: true }, free, claim],
  ['leaves it to others first', running, { ...free, claimAtMs: 101 }, rest('not_yet_claimable', 101)],
  ['claims at the very moment it may', running, { ...free, claimAtMs: 100 }, claim],

  ['closes in order what goes to another runner', running, { leaving: true }, close('hand_over')],
  ['releases what goes to another runner', running, { leaving: true, ...idle }, release],
  ['hands over before anything else', deleting, { leaving: true, job }, close('hand_over')],
  ['removes with the state at hand', deleting, {}, { do: 'remove' }],
  ['rehydrates before it removes', deleting, bare, rehydrate],
  ['removes what it can not read', deleting, { ...bare, readable: false }, { do: 'remove' }],
  ['waits while it is unlinked', deleting, { removeAtMs: Infinity }, rest('unlinking')],
  ['waits for the next try to unlink it', deleting, { removeAtMs: 101 }, rest('unlinking', 101)],
  ['goes on removing at the very instant', deleting, { removeAtMs: 100 }, { do: 'remove' }],
  ['removes rather than doing a job', deleting, { job }, { do: 'remove' }],
  ['does a job on an open connection', running, { job }, { do: 'job', ...job }],
  [
    'F3: leaves all as it is while its import waits',
    running,
    { job: { ...job, waits: true } },
    rest('waits_its_turn'),
  ],
  ['rehydrates before a job', running, { ...bare, job }, rehydrate],
  ['does the job of a stopped session', stopped, { ...idle, job }, { do: 'job', ...job }],
  ['does the job of a blocked session', running, { ...idle, block: forever, job }, { do: 'job', ...job }],
  ['closes what is to be stopped', stopped, {}, close('stopped')],
  ['closes what is to be stopped while it connects', stopped, { socket: 'connecting' }, close('stopped')],
  ['gives a stopped session back', stopped, idle, release],

  ['E1 closes what is blocked', running, { block: forever }, close('blocked')],
  ['E1 gives a blocked session back', running, { ...idle, block: forever }, release],
  ['gives back what is blocked for a time', running, { ...idle, block: { untilMs: 101 } }, release],
  ['D1 connects again when its time is over', running, { ...idle, block: { untilMs: 100 } }, open],
  ['A3 rehydrates before it connects', running, bare, rehydrate],
  ['closes a pairing that is over', running, { paired: false }, close('pairing_over')],
  ['gives back what nobody pairs', running, { ...idle, paired: false }, release],
  ['connects to pair', running, { ...idle, paired: false, pairingUntilMs: 101 }, open],
  [
    'keeps a pairing connection until its window ends',
    running,
    { socket: 'connecting', paired: false, pairingUntilMs: 101 },
    rest('as_wanted', 101),
  ],
  ['needs no timer for a window that is used', running, { pairingUntilMs: 101 }, rest('as_wanted')],

  ['keeps a connection that is as wanted', running, {}, rest('as_wanted')],
  ['waits for a connection on its way', running, { socket: 'connecting' }, rest('as_wanted')],
  ['B5 replaces a connection that is to be restarted', restarted, {}, close('restart')],
  ['keeps one that was opened since', restarted, { socketGeneration: 2 }, rest('as_wanted')],
  [
    'connects nobody while the fleet is stopped',
    running,
    { ...idle, breakerUntilMs: 101, retryAtMs: 200 },
    rest('fleet_stopped', 101),
  ],
  [
    'D4 waits one millisecond before the retry',
    running,
    { ...idle, retryAtMs: 101 },
    rest('backing_off', 101),
  ],
  ['D4 connects at the very moment of the retry', running, { ...idle, retryAtMs: 100 }, open],
  ['A2 connects what is down', running, idle, open],
]

describe('the plan', () => {
  test.for(rows)('%s', ([, want, have, step]) => {
    expect(plan(want, { ...calm, ...have }, NOW)).toEqual(step)
  })

  test('every reason to rest has a row', () => {
    const seen = rows.flatMap(([, , , step]) => (step.do === 'rest' ? [step.why] : []))
    expect(new Set(seen)).toEqual(new Set(REST_REASONS))
  })

  test('every step and every reason to close has a row', () => {
    const words = (step: Step): string => (step.do === 'close' ? `close ${step.why}` : step.do)
    const all = 'drop claim rehydrate open job remove release rest'.split(' ')
    const closes = 'stopped restart blocked pairing_over hand_over'.split(' ').map((why) => `close ${why}`)
    expect(new Set(rows.map(([, , , step]) => words(step)))).toEqual(new Set([...all, ...closes]))
  })
})

const anyTime = fc.constantFrom(0, NOW - 1, NOW, NOW + 1, NOW + 50)
const anyWant: fc.Arbitrary<PlanWant> = fc.record({
  state: fc.constantFrom('running', 'stopped'),
  deleting: fc.boolean(),
  restart: fc.nat({ max: 3 }),
})
const anyHave: fc.Arbitrary<Have> = fc.record({
  lease: fc.constantFrom('good', 'good', 'good', 'lost'),
  draining: fc.boolean(),
  leaving: fc.boolean(),
  owner: fc.constantFrom('ours', 'ours', 'theirs', 'claimable'),
  unreleased: fc.boolean(),
  claimAtMs: anyTime,
  state: fc.constantFrom('none', 'loaded'),
  readable: fc.boolean(),
  removeAtMs: anyTime,
  paired: fc.boolean(),
  socket: fc.constantFrom('none', 'connecting', 'open'),
  socketGeneration: fc.nat({ max: 3 }),
  block: fc.option(fc.record({ untilMs: fc.option(anyTime, { nil: undefined }) }), { nil: undefined }),
  retryAtMs: anyTime,
  breakerUntilMs: anyTime,
  job: fc.option(fc.record({ id: fc.constant('j'), kind: fc.constantFrom(...JOB_KINDS) }), {
    nil: undefined,
  }),
  pairingUntilMs: anyTime,
  behind: fc.boolean(),
  owes: fc.boolean(),
})

interface World {
  want: PlanWant
  have: Have
}

/** The world after a step that succeeded. What an owner did it also told, so nothing is behind any more. */
function obey({ want, have }: World, step: Step): World {
  const having = (more: Partial<Have>): World => ({ want, have: { ...have, ...more } })
  const told = (more: Partial<Have>): World => having({ behind: false, ...more })
  switch (step.do) {
    case 'drop':
      return having(bare)
    case 'claim':
      return having({ owner: 'ours', unreleased: false, ...bare })
    case 'rehydrate':
      return told({ state: 'loaded' })
    case 'open':
      return told({ socket: 'open', socketGeneration: want.restart })
    case 'close':
      return told(idle)
    case 'job':
      return told({ job: undefined })
    case 'remove':
      return { want: { ...want, deleting: false, state: 'stopped' }, have: told(free).have }
    case 'release':
      // Whoever it goes to has it then; without a hand-over it is free.
      return told({
        ...free,
        owner: have.leaving ? 'theirs' : 'claimable',
        unreleased: false,
        leaving: false,
      })
    case 'rest':
      return { want, have }
  }
}

/** Close, release, claim, rehydrate, job, rehydrate, remove, and whatever was wrong before. */
const PASSES_MAX = 10

describe('whatever there is', () => {
  test('obeying its own steps it comes to rest, with no socket outside a lease', () => {
    const comesToRest = (want: PlanWant, have: Have): void => {
      let world: World = { want, have }
      for (let pass = 0; pass < PASSES_MAX; pass++) {
        const step = plan(world.want, world.have, NOW)
        if (step.do === 'rest') break
        world = obey(world, step)
      }
      expect(plan(world.want, world.have, NOW).do).toBe('rest')
      const mayHold = world.have.lease === 'good' && world.have.owner === 'ours'
      expect(mayHold || world.have.socket === 'none').toBe(true)
    }
    fc.assert(fc.property(anyWant, anyHave, comesToRest), { numRuns: 200 })
  })

  test('E7 no socket outlives a lost lease or another’s ownership by a single pass', () => {
    const property = fc.property(anyWant, anyHave, (want, have) => {
      fc.pre(have.lease === 'lost' || have.owner !== 'ours')
      const step = plan(want, have, NOW)
      const after = obey({ want, have }, step).have
      expect(after).toMatchObject({ socket: 'none', state: 'none' })
      expect(['drop', 'claim', 'release', 'rest']).toContain(step.do)
    })
    fc.assert(property, { numRuns: 200 })
  })

  test('opens only what it owns under a good lease, rehydrated, without anything in the way', () => {
    const property = fc.property(anyWant, anyHave, (want, have) => {
      if (plan(want, have, NOW).do !== 'open') return
      expect(have).toMatchObject({ lease: 'good', owner: 'ours', state: 'loaded', socket: 'none' })
      expect(want).toMatchObject({ state: 'running', deleting: false })
      expect(have.block === undefined || Number(have.block.untilMs) <= NOW).toBe(true)
      expect(have.paired || NOW < have.pairingUntilMs).toBe(true)
      expect(Math.max(have.retryAtMs, have.breakerUntilMs)).toBeLessThanOrEqual(NOW)
    })
    fc.assert(property, { numRuns: 200 })
  })

  test('a rest until a time is one until later, and gives up ownership only without a socket', () => {
    const property = fc.property(anyWant, anyHave, (want, have) => {
      const step = plan(want, have, NOW)
      if (step.do === 'rest') expect(step.untilMs ?? NOW + 1).toBeGreaterThan(NOW)
      if (step.do === 'release') expect(have.socket).toBe('none')
    })
    fc.assert(property, { numRuns: 200 })
  })
})
