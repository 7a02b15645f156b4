import type { Phase } from '#shared/session.ts'

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
