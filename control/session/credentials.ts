import type { Session } from '#shared/session.ts'

/** What control can tell about a session's credentials without being able to read them. */
export type CredentialState = 'good' | 'doubtful' | 'archived' | 'none' | 'unknown'

/** The explanation that goes with each. */
export const CREDENTIALS: Record<CredentialState, string> = {
  good: 'Complete credentials are stored; the session connects without a QR.',
  doubtful: 'Credentials are stored, but the session failed with them; the reason says how.',
  archived:
    'The credentials were put away after WhatsApp refused them; link the phone again or restore a backup.',
  none: 'There are no credentials; open a pairing window to link a phone.',
  unknown: 'No runner has looked at the session yet.',
}

/**
 * Judged by what the runner wrote down, so nobody needs to be shown a QR to learn it. While a pairing is going on, the
 * old credentials are good only if the window is there to replace them.
 */
export function credentialsOf(session: Pick<Session, 'status' | 'want' | 'dataKeys'>): CredentialState {
  const { status, want } = session
  if (!status) return session.dataKeys.length === 0 ? 'none' : 'unknown'
  if (status.phase === 'logged_out' || status.phase === 'banned') return 'archived'
  if (status.phase === 'unpaired' || status.authenticatedAt === undefined) return 'none'
  if (status.phase === 'pairing') return want.pairing?.replace ? 'good' : 'none'
  return status.phase === 'failed' ? 'doubtful' : 'good'
}
