import type { SessionKey } from '#shared/ids.ts'
import { proxyVersion } from '#shared/sealing/proxy.ts'
import type { Owner, PairingWindow, Session, Status } from '#shared/session.ts'
import type { Job } from '#shared/store/job-store.ts'
import type { Have, PlanWant } from './plan.ts'
import { NO_CONNECTION } from '../session/connection.ts'
import type { SessionView } from '../session/session-view.ts'
import { owesMessages } from './status.ts'

/** What observing looks at in a session that is in hand. */
type Observed = Omit<SessionView, 'key' | 'lastDisconnect' | 'lastActivityAt'>

/** What observing looks at; plain values, so that a pass sees one moment. */
export interface Observation {
  key: SessionKey
  session: Session
  owner: Owner | undefined
  jobs: readonly Job[]
  /** It is the turn of another session's import. */
  jobWaits: boolean
  live: Observed | undefined
  lease: 'good' | 'lost'
  draining: boolean
  leaving: boolean
  me: string
  /** Whether the owner's runner is alive. */
  ownerAlive: boolean
  /** It is in this runner's name without being its own. */
  unreleased: boolean
  claimAtMs: number
  breakerUntilMs: number
  nowMs: number
  monotonicMs: number
  /** Its device is being unlinked right now. */
  unlinking?: boolean
}

/** Phases that a status can hold which keep the socket closed until somebody lifts them. */
const BLOCKING: ReadonlySet<Status['phase']> = new Set([
  'conflict',
  'logged_out',
  'banned',
  'failed',
  'restricted',
])

/** A person's word that lifts a block: a later resume or restart, or a pairing window where credentials are gone. */
export function liftsBlock(
  session: Session,
  phase: Status['phase'],
  blockGeneration: number,
  nowMs: number,
): boolean {
  const { want } = session
  if (Math.max(want.resume ?? 0, want.restart ?? 0) > blockGeneration) return true
  const window = want.pairing
  return (
    window !== undefined &&
    nowMs < window.expiresAtMs &&
    window.id !== session.status?.endedWindowId &&
    (phase === 'logged_out' || phase === 'banned' || phase === 'failed') &&
    want.generation > blockGeneration
  )
}

/** Whether a person asked for another try since the status was written: their word ends every wait and every count. */
export const personSpoke = ({ want, status }: Pick<Session, 'want' | 'status'>): boolean =>
  Math.max(want.resume ?? 0, want.restart ?? 0) > (status?.observedGeneration ?? 0)

/** The block that a stored status means, for a session that is not live here. */
export function storedBlock(
  session: Session,
  nowMs: number,
): { phase: Status['phase']; until: number | undefined } | undefined {
  const { status } = session
  if (!status || !BLOCKING.has(status.phase)) return undefined
  if (liftsBlock(session, status.phase, status.observedGeneration, nowMs)) return undefined
  if (status.until !== undefined && nowMs >= status.until) return undefined
  return { phase: status.phase, until: status.until }
}

/** The pairing window that is open now and has not been used up. */
export function openWindow(
  session: Session,
  live: Pick<Observed, 'identity' | 'pairing'> | undefined,
  nowMs: number,
): PairingWindow | undefined {
  const window = session.want.pairing
  if (!window || nowMs >= window.expiresAtMs) return undefined
  if (live?.pairing.endedWindowId === window.id || session.status?.endedWindowId === window.id)
    return undefined
  // Paired within this window: it has done its work.
  const pairedAt = live?.identity.authenticatedAt ?? session.status?.authenticatedAt
  if (pairedAt !== undefined && pairedAt >= window.openedAtMs) return undefined
  return window
}

/** Gathers what `plan` needs. Pure. */
export function observe(observation: Observation): { want: PlanWant; have: Have } {
  const { session, owner, live, nowMs, monotonicMs } = observation
  const { want, status } = session
  const window = openWindow(session, live, nowMs)
  const replacing = window?.replace === true
  const paired =
    (live?.state
      ? live.identity.paired
      : status?.authenticatedAt !== undefined && status.phase !== 'logged_out') && !replacing
  const block = live?.retry.block
    ? { untilMs: live.retry.block.untilMs }
    : live?.state
      ? undefined
      : blockOf(session, nowMs, monotonicMs)
  const job = observation.jobs[0]
  // A connection shows the QR of the window that it was opened for, and no other.
  const connection = live?.connection ?? NO_CONNECTION
  const viaAnother = live !== undefined && proxyVersion(live.proxy) !== proxyVersion(want.proxy)
  const inTheWay =
    connection.is !== 'none' &&
    (viaAnother ||
      (window !== undefined && connection.windowId !== undefined && connection.windowId !== window.id) ||
      (replacing && connection.asPaired))
  const restart = inTheWay ? Number.MAX_SAFE_INTEGER : (want.restart ?? 0)
  return {
    want: {
      state: want.state,
      deleting: want.deleting !== undefined,
      restart,
    },
    have: {
      lease: observation.lease,
      draining: observation.draining,
      leaving: observation.leaving,
      owner: owner?.runnerId === observation.me ? 'ours' : observation.ownerAlive ? 'theirs' : 'claimable',
      unreleased: observation.unreleased,
      claimAtMs: observation.claimAtMs,
      state: live?.state ? 'loaded' : 'none',
      readable: session.dataKeys.length > 0 && live?.retry.block === undefined,
      removeAtMs: observation.unlinking ? Infinity : (live?.superseded.notBeforeMs ?? 0),
      paired,
      socket: connection.is,
      socketGeneration: connection.is === 'none' ? 0 : connection.generation,
      block,
      // What failed by another way says nothing of this one.
      retryAtMs: live && !viaAnother ? live.retry.retryAtMs : 0,
      breakerUntilMs: observation.breakerUntilMs,
      job: job && { id: job.id, kind: job.kind, ...(observation.jobWaits && { waits: true }) },
      pairingUntilMs: window ? monotonicMs + (window.expiresAtMs - nowMs) : 0,
      behind: (status?.observedGeneration ?? 0) < want.generation,
      owes: owesMessages(session, live),
    },
  }
}

function blockOf(session: Session, nowMs: number, monotonicMs: number): Have['block'] {
  const block = storedBlock(session, nowMs)
  return block && { untilMs: block.until === undefined ? undefined : monotonicMs + (block.until - nowMs) }
}
