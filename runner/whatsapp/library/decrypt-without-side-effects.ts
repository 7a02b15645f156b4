import { SessionCipher } from 'libsignal'

interface Chain {
  chainKey: { counter: number; key?: Buffer }
  chainType: number
  messageKeys: Record<string, Buffer>
}

/** The part of a session that decrypting changes. */
interface Ratchets {
  currentRatchet: object
  _chains: Record<string, Chain>
}

type Decrypt = (this: unknown, message: unknown, session: Ratchets | undefined) => Promise<Buffer>

const done = new WeakSet<Decrypt>()

/**
 * Makes libsignal try a message on a session without changing that session when the try fails. A peer has several
 * sessions with us after rc14 fetched a bundle anew, which it does at the first message after every start; libsignal tries
 * one after the other, and each that does not fit is stepped to the stranger's key before that shows, and stored like
 * that with the one that fits: from then on neither side can read what the other writes on it. Calling it twice is
 * harmless.
 */
export function decryptWithoutSideEffects(): void {
  const cipher = SessionCipher.prototype as unknown as { doDecryptWhisperMessage: Decrypt }
  const stock = cipher.doDecryptWhisperMessage
  if (done.has(stock)) return
  const decrypt: Decrypt = async function (message, session) {
    const before = session && copyOf(session)
    try {
      return await stock.call(this, message, session)
    } catch (error) {
      if (session && before) Object.assign(session, before)
      throw error
    }
  }
  done.add(decrypt)
  cipher.doDecryptWhisperMessage = decrypt
}

/** As deep as libsignal changes in place; it exchanges keys and never writes into them. */
function copyOf({ currentRatchet, _chains: chains }: Ratchets): Ratchets {
  const copies = Object.entries(chains).map(([key, chain]) => [
    key,
    { ...chain, chainKey: { ...chain.chainKey }, messageKeys: { ...chain.messageKeys } },
  ])
  return {
    currentRatchet: { ...currentRatchet },
    _chains: Object.fromEntries(copies) as Record<string, Chain>,
  }
}
