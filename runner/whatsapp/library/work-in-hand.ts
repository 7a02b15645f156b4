import type { WASocket } from '@whiskeysockets/baileys'

type Mutexes = Pick<WASocket, 'messageMutex' | 'receiptMutex' | 'notificationMutex'>

/**
 * Runs when the message that rc14 works on is done, receipt included, and before it begins the next: it holds this mutex
 * from a message's decryption to its end. A message that got stuck holds it for ever, so whoever waits needs a deadline.
 */
export const betweenMessages = (
  sock: Pick<Mutexes, 'messageMutex'>,
  work: () => Promise<void>,
): Promise<void> => sock.messageMutex.mutex(work)

/**
 * Resolves when everything that rc14 does with what it receives has come to its turn once: its three kinds of stanzas, and
 * the transactions of the own account. Whatever is stuck in one of them keeps it from resolving, for ever.
 */
export async function throughAllWork(
  sock: Mutexes & { authState: Pick<WASocket['authState'], 'keys'> },
  ownJid: string,
): Promise<void> {
  const pass = async (): Promise<void> => undefined
  await Promise.all([
    sock.messageMutex.mutex(pass),
    sock.receiptMutex.mutex(pass),
    sock.notificationMutex.mutex(pass),
    sock.authState.keys.transaction(pass, ownJid),
  ])
}
