import type { JobKind } from '#shared/store/job-store.ts'

/** What a pass knows of a session, gathered by `observe`. Times are monotonic milliseconds of this process. */
export interface Have {
  /** This runner's own lease. */
  lease: 'good' | 'lost'
  /** This runner claims nothing any more. */
  draining: boolean
  /** It is this session's turn to go to another runner. */
  leaving: boolean
  /** Who may open the socket. `claimable` covers free, released and run out. */
  owner: 'ours' | 'theirs' | 'claimable'
  /** For `claimable`: it stands in this runner's name all the same, so that nobody else takes it. */
  unreleased: boolean
  /** For `claimable`: from when on this runner may claim it (its preference, its grace, its capacity). */
  claimAtMs: number
  /** The working copy of this epoch. */
  state: 'none' | 'loaded'
  /** There is a state that can be rebuilt, as far as is known. */
  readable: boolean
  /** For one that is removed: when to go on with it; Infinity while its device is being unlinked. */
  removeAtMs: number
  paired: boolean
  socket: 'none' | 'connecting' | 'open'
  /** The generation that the socket was opened under. */
  socketGeneration: number
  /** Something keeps it closed until a person lifts it, or until a time. */
  block: { untilMs: number | undefined } | undefined
  retryAtMs: number
  /** Until then nobody of the fleet connects. */
  breakerUntilMs: number
  /** An oldest open job of the session. */
  job: { id: string; kind: JobKind; waits?: boolean } | undefined
  /** Until then a pairing window is open; 0 for none. */
  pairingUntilMs: number
  /** True when the stored status does not answer to the newest want yet. */
  behind: boolean
  /** Messages that came in are not in the feed yet. */
  owes: boolean
}

export interface PlanWant {
  state: 'running' | 'stopped'
  deleting: boolean
  /** A socket that was opened under a lower generation is to be replaced. */
  restart: number
}

export const REST_REASONS = [
  'not_ours',
  'nothing_to_do',
  'not_yet_claimable',
  'lease_lost',
  'draining',
  'blocked',
  'delivering',
  'unpaired',
  'waits_its_turn',
  'backing_off',
  'fleet_stopped',
  'as_wanted',
  'unlinking',
] as const
type RestReason = (typeof REST_REASONS)[number]

/** The one thing that a pass does. */
export type Step =
  | { do: 'drop' } // at once and without a flush: it is not ours to write any more
  | { do: 'claim' }
  | { do: 'rehydrate' }
  | { do: 'open' }
  | { do: 'close'; why: 'stopped' | 'restart' | 'blocked' | 'pairing_over' | 'hand_over' }
  | { do: 'job'; id: string; kind: JobKind }
  | { do: 'remove' } // the session is being deleted
  | { do: 'release' }
  | { do: 'rest'; why: RestReason; untilMs?: number }

/** What came of a step: it was taken, somebody else was faster, or its turn has not come. */
export type Outcome = 'taken' | 'lost' | 'not_yet'

const rest = (why: RestReason, untilMs?: number): Step => ({
  do: 'rest',
  why,
  ...(untilMs === undefined ? {} : { untilMs }),
})

/**
 * Decides the one next step for a session. Pure: the same arguments give the same step, no clock, no dice, no I/O. Calling
 * it again after obeying a step is always safe, and soon answers `rest`. The order of the questions is the policy:
 * lease, ownership, drain, what a person asked for, what keeps it closed, and only then the socket.
 */
export function plan(want: PlanWant, have: Have, nowMs: number): Step {
  const holds = have.socket !== 'none' || have.state !== 'none'
  if (have.lease === 'lost') return holds ? { do: 'drop' } : rest('lease_lost')
  if (have.owner === 'theirs') return holds ? { do: 'drop' } : rest('not_ours')
  if (have.owner === 'claimable') return holds ? { do: 'drop' } : claim(want, have, nowMs)

  if (have.leaving) return have.socket === 'none' ? { do: 'release' } : { do: 'close', why: 'hand_over' }
  if (want.deleting) return removal(have, nowMs)
  if (have.job?.waits) return rest('waits_its_turn')
  if (have.job) return act(have, { do: 'job', id: have.job.id, kind: have.job.kind })
  if (want.state === 'stopped') return letGo(have, 'stopped')

  const blocked = have.block && (have.block.untilMs === undefined || nowMs < have.block.untilMs)
  if (blocked) return letGo(have, 'blocked')
  if (have.state === 'none') return { do: 'rehydrate' }
  const pairing = nowMs < have.pairingUntilMs
  if (!have.paired && !pairing) return letGo(have, 'pairing_over')

  if (have.socket !== 'none') return keep(want, have, pairing)
  if (nowMs < have.breakerUntilMs) return rest('fleet_stopped', have.breakerUntilMs)
  if (nowMs < have.retryAtMs) return rest('backing_off', have.retryAtMs)
  return { do: 'open' }
}

/** An unowned session is claimed only when there is something to do that needs an owner. */
function claim(want: PlanWant, have: Have, nowMs: number): Step {
  if (have.draining) return have.unreleased ? { do: 'release' } : rest('draining')
  const pairing = nowMs < have.pairingUntilMs
  const runs = want.state === 'running' && (have.paired || pairing || have.behind)
  const asked = want.deleting || have.job !== undefined || have.behind || have.owes
  if (have.block && have.block.untilMs === undefined && !asked) return rest('blocked')
  if (have.block?.untilMs !== undefined && nowMs < have.block.untilMs && !asked)
    return rest('blocked', have.block.untilMs)
  if (!runs && !asked) return rest(want.state === 'running' ? 'unpaired' : 'nothing_to_do')
  if (nowMs < have.claimAtMs) return rest('not_yet_claimable', have.claimAtMs)
  return { do: 'claim' }
}

/** What can't be read can't be unlinked, but removed. */
function removal(have: Have, nowMs: number): Step {
  if (have.state === 'none' && have.readable) return { do: 'rehydrate' }
  if (nowMs >= have.removeAtMs) return { do: 'remove' }
  return rest('unlinking', Number.isFinite(have.removeAtMs) ? have.removeAtMs : undefined)
}

/** What needs the state but no socket of its own. */
function act(have: Have, step: Step): Step {
  if (have.state === 'none') return { do: 'rehydrate' }
  return step
}

/**
 * No socket is wanted: close it, and give the ownership back, so that nobody holds what nobody needs; but not before what it
 * received is delivered, since nobody else would do it.
 */
function letGo(have: Have, why: 'stopped' | 'blocked' | 'pairing_over'): Step {
  if (have.socket !== 'none') return { do: 'close', why }
  if (!have.owes) return { do: 'release' }
  return have.state === 'none' ? { do: 'rehydrate' } : rest('delivering')
}

function keep(want: PlanWant, have: Have, pairing: boolean): Step {
  if (have.socketGeneration < want.restart) return { do: 'close', why: 'restart' }
  return rest('as_wanted', pairing && !have.paired ? have.pairingUntilMs : undefined)
}
