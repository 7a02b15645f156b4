import { expect, test } from 'vitest'
import type { RunnerId } from '#shared/ids.ts'
import { unseenStatus } from '#shared/session.ts'
import type { Owner, Phase, Status, Want } from '#shared/session.ts'
import type { FleetView } from '../report/fleet.ts'
import { phaseNow } from './present.ts'

const ALIVE = 'alive' as RunnerId
const DEAD = 'dead' as RunnerId
const fleet: FleetView = { runners: [], alive: new Set([ALIVE]) }
const nobody: FleetView = { runners: [], alive: new Set() }

const ownedBy = (runnerId: RunnerId | undefined, epoch = 1): Owner => ({
  ...(runnerId ? { runnerId } : {}),
  epoch,
  since: 0,
  nonce: 'n',
})

const rows: readonly [
  says: string,
  calm: { want?: Want['state']; seen?: Phase; epoch?: number; owner?: Owner; fleet?: FleetView },
  phase: Phase,
  reason?: RegExp,
][] = [
  ['pending while no runner is alive', { fleet: nobody }, 'pending', /No runner is alive/],
  ['pending while a runner has not taken it', {}, 'pending', /Waiting for a runner/],
  ['stopped when it is wanted stopped and nobody ever ran it', { want: 'stopped' }, 'stopped'],
  ['what a living runner saw', { seen: 'connected', owner: ownedBy(ALIVE) }, 'connected'],
  [
    'what was seen of an older want',
    { want: 'stopped', seen: 'connected', owner: ownedBy(ALIVE) },
    'connected',
  ],
  [
    'no connection whose runner is dead',
    { seen: 'connected', owner: ownedBy(DEAD) },
    'pending',
    /dead is gone/,
  ],
  ['no connection that was released', { seen: 'connected', owner: ownedBy(undefined) }, 'pending', /Waiting/],
  [
    'stopped once the runner of a stopped session is gone',
    { want: 'stopped', seen: 'connected', owner: ownedBy(DEAD) },
    'stopped',
  ],
  ['no backoff of a dead runner', { seen: 'backing_off', owner: ownedBy(DEAD) }, 'pending', /gone/],
  ['a bar, whoever saw it', { seen: 'conflict', owner: ownedBy(DEAD) }, 'conflict'],
  [
    'logged out, whoever saw it',
    { seen: 'logged_out', owner: ownedBy(undefined), fleet: nobody },
    'logged_out',
  ],
  [
    'pending when a stopped session was started and nobody runs it',
    { seen: 'stopped', owner: ownedBy(undefined) },
    'pending',
    /Waiting/,
  ],
  [
    'pending while a new owner has not reported',
    { seen: 'connected', epoch: 1, owner: ownedBy(ALIVE, 2) },
    'pending',
    /has not reported yet/,
  ],
]

test.for(rows)(
  'shows %s',
  ([, { want = 'running', seen, epoch = 1, owner, fleet: view = fleet }, phase, reason]) => {
    const status: Status | undefined = seen && { ...unseenStatus(epoch), phase: seen }
    const session = { want: { state: want, generation: 1, metadata: {} }, ...(status ? { status } : {}) }
    const shown = phaseNow(session, owner, view)
    expect(shown.phase).toBe(phase)
    if (reason) expect(shown.reason).toMatch(reason)
  },
)
