import type { Session } from '#shared/session.ts'

/** The QR or code that may be shown now: of the window that is open, and not yet run out. */
export function shownPairing(
  session: Session,
  phase: string,
  nowMs: number,
): NonNullable<Session['status']>['pairing'] {
  const pairing = session.status?.pairing
  if (phase !== 'pairing' || !pairing || pairing.expiresAt <= nowMs) return undefined
  return pairing.windowId === session.want.pairing?.id ? pairing : undefined
}
