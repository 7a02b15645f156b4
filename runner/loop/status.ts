import { isDeepStrictEqual } from 'node:util'
import type { Phase, Session, Status, Waitable, Waiting } from '#shared/session.ts'
import { unseenStatus, WAITABLE, WAITS_TOO_LONG_MS } from '#shared/session.ts'
import type { SessionView } from '../session/session-view.ts'

/** What the status is made of beside the live session itself. */
export interface StatusFacts {
  nowMs: number
  monotonicMs: number
  epoch: number
  pairingOpen: boolean
  fleetStopped: boolean
  loginMayBeLate?: boolean
  /** All that waits of the session, with monotonic times; of each kind the oldest. */
  waiting: readonly { what: Waitable | 'status'; sinceMs: number }[]
}

const REASONS: Partial<Record<Phase, string>> = {
  unpaired: 'no credentials; open a pairing window with POST …/pairing',
  conflict: 'another process uses these credentials; stop it, then POST …/resume',
  outdated: 'WhatsApp refuses this client version; update Mooring',
}

/** The one word for where a session is. Pure. */
export function phaseOf(live: SessionView, session: Session, facts: StatusFacts): Phase {
  if (live.connection.is === 'open') return 'connected'
  const { block } = live.retry
  if (session.want.state === 'stopped') return block ? block.phase : 'stopped'
  if (block) return block.phase
  if (!live.state) return 'rehydrating'
  if (!live.identity.paired) return facts.pairingOpen ? 'pairing' : 'unpaired'
  if (live.connection.is === 'connecting') return 'connecting'
  if (facts.fleetStopped) return 'outdated'
  return facts.monotonicMs < live.retry.retryAtMs ? 'backing_off' : 'connecting'
}

/** The whole status as it is now, on top of what was stored before. Pure. */
export function statusOf(live: SessionView, session: Session, facts: StatusFacts): Status {
  const before = session.status ?? unseenStatus(facts.epoch)
  const phase = phaseOf(live, session, facts)
  const { identity, pairing, retry } = live
  const reason = reasonOf(live, phase, facts)
  const jid = identity.me?.jid ?? before.jid
  const numbers = /^(\d+)(?::(\d+))?@/.exec(jid ?? '')
  const authenticatedAt = identity.authenticatedAt ?? before.authenticatedAt
  const known = identity.paired || live.state === undefined || phase === 'logged_out' || phase === 'banned'
  // Whose phone it was is told also where the credentials themselves are lost.
  const named = known || phase === 'failed'
  const snapshot = live.state?.lastSnapshot
  const witness = live.state?.witness ?? before.witness
  const lastActivityAt = live.lastActivityAt ?? before.lastActivityAt
  const lastDisconnect = live.lastDisconnect ?? before.lastDisconnect
  const ended = pairing.endedWindowId ?? before.endedWindowId
  const superseded = live.superseded.devices ?? before.superseded ?? []
  const backingOff = phase === 'backing_off'
  const waiting = waitingOf(live, session, facts)
  return {
    phase,
    ...(reason === undefined ? {} : { reason }),
    observedGeneration: session.want.generation,
    epoch: facts.epoch,
    at: facts.nowMs,
    ...(named && numbers?.[1] ? { phone: numbers[1] } : {}),
    ...(named && jid ? { jid } : {}),
    ...(named && numbers?.[2] ? { deviceId: Number(numbers[2]) } : {}),
    ...(pairing.shown && phase === 'pairing' ? { pairing: pairing.shown } : {}),
    ...(ended === undefined ? {} : { endedWindowId: ended }),
    ...(phase === 'connected'
      ? { connectedAt: before.phase === 'connected' && before.connectedAt ? before.connectedAt : facts.nowMs }
      : {}),
    ...(known && authenticatedAt ? { authenticatedAt } : {}),
    ...(lastActivityAt ? { lastActivityAt } : {}),
    ...(lastDisconnect ? { lastDisconnect } : {}),
    ...(facts.loginMayBeLate ? { loginMayBeLate: true } : {}),
    attempts: retry.attempts,
    ...(backingOff ? { nextAttemptAt: Math.round(facts.nowMs + retry.retryAtMs - facts.monotonicMs) } : {}),
    ...(retry.block?.until === undefined ? {} : { until: retry.block.until }),
    ...(snapshot
      ? { snapshot: { seq: snapshot.seq, at: snapshot.at, bytes: snapshot.bytes } }
      : before.snapshot
        ? { snapshot: before.snapshot }
        : {}),
    ...(witness ? { witness } : {}),
    ...(superseded.length > 0 ? { superseded } : {}),
    ...(waiting.length > 0 ? { waiting } : {}),
    uptime: uptimeOf(before, phase, facts, session),
  }
}

/**
 * What of a session is told to wait. That the status itself waits can't be told in it. Pure.
 */
export function waitingOf(
  live: Pick<SessionView, 'state' | 'identity' | 'retry' | 'isUnreadable'>,
  session: Session,
  facts: Pick<StatusFacts, 'nowMs' | 'monotonicMs' | 'waiting'>,
): readonly Waiting[] {
  const before = new Map(session.status?.waiting?.map((one) => [one.what, one]))
  // Nobody else comes by to deliver what such a session has: whoever owns it next must know at once.
  const holdsNone =
    live.retry.block !== undefined || session.want.state === 'stopped' || !live.identity.paired
  return WAITABLE.flatMap((what): Waiting[] => {
    const known = before.get(what)
    // Until its state is rebuilt nobody knows more of the inbox than its last owner.
    if (what === 'inbox' && !live.state && !live.isUnreadable) return known ? [known] : []
    const now = facts.waiting.find((one) => one.what === what)
    if (!now) return []
    const waitsMs = facts.monotonicMs - now.sinceMs
    if (waitsMs < WAITS_TOO_LONG_MS && !known && !(what === 'inbox' && holdsNone)) return []
    return [known ?? { what, since: Math.round(facts.nowMs - waitsMs) }]
  })
}

/** Messages that came in are not in the feed yet, as far as is known. Pure. */
export const owesMessages = (
  session: Session,
  live: Pick<SessionView, 'state' | 'isDelivering' | 'isUnreadable'> | undefined,
): boolean =>
  live?.state
    ? live.isDelivering
    : live?.isUnreadable !== true && session.status?.waiting?.some(({ what }) => what === 'inbox') === true

function reasonOf(live: SessionView, phase: Phase, facts: StatusFacts): string | undefined {
  const { block } = live.retry
  if (block && phase === block.phase) return block.why
  if (phase === 'pairing' || phase === 'unpaired') return pairingReason(live, phase, facts) ?? REASONS[phase]
  if (phase === 'backing_off') return live.closeReason ?? live.lastDisconnect?.why
  return REASONS[phase]
}

/** A person who waits for a QR or code is told why there is none, and whoever comes later why there was none. */
function pairingReason(live: SessionView, phase: Phase, facts: StatusFacts): string | undefined {
  const { shown, hindrance, note } = live.pairing
  if (shown) return note
  if (phase === 'pairing' && facts.fleetStopped) return `outdated: ${REASONS.outdated}`
  if (hindrance === undefined) return note
  return phase === 'pairing'
    ? `nothing to scan yet: ${hindrance}; Mooring goes on trying while the window is open`
    : `the window is over, and there was nothing to scan: ${hindrance}`
}

/** Time is added up when the status is written, so an idle session writes nothing for it. */
function uptimeOf(before: Status, phase: Phase, facts: StatusFacts, session: Session): Status['uptime'] {
  const { uptime } = before
  const passed = Math.max(0, facts.nowMs - (before.at ?? facts.nowMs))
  const wasUp = before.phase === 'connected'
  return {
    connectedMs: uptime.connectedMs + (wasUp ? passed : 0),
    wantedMs: uptime.wantedMs + (session.want.state === 'running' ? passed : 0),
    connects: uptime.connects + (phase === 'connected' && !wasUp ? 1 : 0),
    disconnects: uptime.disconnects + (phase !== 'connected' && wasUp ? 1 : 0),
  }
}

/** Whether two statuses say the same, the witness and times of activity within a minute aside. Pure. */
export function saysTheSame(a: Status | undefined, b: Status): boolean {
  if (!a) return false
  const strip = (status: Status): unknown => {
    const lastActivityAt = Math.floor((status.lastActivityAt ?? 0) / 60_000)
    return JSON.parse(
      JSON.stringify({ ...status, at: undefined, uptime: undefined, witness: undefined, lastActivityAt }),
    )
  }
  // Whatever the order of the fields: a store may give them back in its own, and an idle session must not write.
  return isDeepStrictEqual(strip(a), strip(b))
}
