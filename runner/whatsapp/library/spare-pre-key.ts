import { Curve, type WASocket } from '@whiskeysockets/baileys'
import type { SessionJournal } from '../../state/journal.ts'
import type { ConnectionAuth } from '../auth-state.ts'

/**
 * Keeps one pre-key ready that was never offered to anybody. rc14 takes it for the next retry receipt that brings keys; a
 * key that it makes for one itself is stored after the receipt is sent, and a crash in between leaves the other side with
 * a key that opens nothing. Safe at any time and as often as one likes: the mutex is the one under which rc14 counts its
 * pre-keys.
 */
export async function keepPreKeyReady(
  sock: Pick<WASocket, 'authState'>,
  auth: ConnectionAuth,
  journal: SessionJournal,
): Promise<void> {
  const { creds, keys } = auth
  await sock.authState.keys.transaction(async () => {
    if (creds.nextPreKeyId > creds.firstUnuploadedPreKeyId) return
    const id = creds.nextPreKeyId
    await keys.set({ 'pre-key': { [id]: Curve.generateKeyPair() } })
    // Only now: a counter without its key would be a hole, a key above the counter is jumped over at the next start.
    creds.nextPreKeyId = id + 1
    journal.credsChanged()
  }, creds.me?.id ?? '')
}
