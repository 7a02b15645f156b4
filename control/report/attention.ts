import { WAITS_TOO_LONG_MS, type Phase, type Status, type Waitable } from '#shared/session.ts'

/** So many failures in a row are worth somebody's attention (docs/design/ownership.md §5.3: alert after 3 in a row). */
export const ALERT_AFTER_ATTEMPTS = 3

/** On their way without anybody's help. */
const WAITING: ReadonlySet<Phase> = new Set(['pending', 'rehydrating', 'connecting', 'backing_off'])
/** Wait for a phone; there is nothing to restore. */
export const UNPAIRED: ReadonlySet<Phase> = new Set(['unpaired', 'pairing'])

/** It lasts until a person does something. */
export const needsPerson = (phase: Phase): boolean =>
  phase !== 'connected' && phase !== 'stopped' && !WAITING.has(phase) && !UNPAIRED.has(phase)

/** Connected of wanted time, 0 to 1; null before any. */
export const ratioOf = ({ connectedMs, wantedMs }: { connectedMs: number; wantedMs: number }) =>
  wantedMs === 0 ? null : Math.min(1, connectedMs / wantedMs)

const WAITS: Readonly<Record<Waitable, string>> = {
  inbox: 'messages that came in are not in the feed',
  outbox: 'messages do not leave, although it is connected',
  journal: 'what it learned can not be made durable',
  writes: 'states of messages, or events, can not be written',
}

/** What of a session has waited for too long, and since when, a phrase each. Pure. */
export const lateOf = (status: Pick<Status, 'waiting'> | undefined, nowMs: number): readonly string[] =>
  (status?.waiting ?? [])
    .filter(({ since }) => nowMs - since >= WAITS_TOO_LONG_MS)
    .map(({ what, since }) => `${WAITS[what]}, since ${new Date(since).toISOString()}`)
