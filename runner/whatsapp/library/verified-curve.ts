import { Curve } from '@whiskeysockets/baileys'
import { verifySignature } from 'libsignal/src/curve.js'
import { LRUCache } from 'lru-cache'

/** A server has a handful of certificates, whatever the number of sessions. */
const REMEMBERED = 256

/**
 * Makes Baileys check signatures for what they are, once each. rc14 ignores the verifier's answer (docs/facts/baileys.md
 * §0.10), so any 64 bytes pass as the server's certificate; and it pays 15 ms of JavaScript for that at every connect,
 * although every connect shows the same certificate. Calling it twice is harmless.
 */
export function verifySignatures(): void {
  const known = new LRUCache<string, boolean>({ max: REMEMBERED })
  Curve.verify = (publicKey, message, signature) => {
    const name = [publicKey, message, signature]
      .map((bytes) => Buffer.from(bytes).toString('base64'))
      .join(' ')
    const before = known.get(name)
    if (before !== undefined) return before
    const holds = check(publicKey, message, signature)
    known.set(name, holds)
    return holds
  }
}

/** Keys come with libsignal's type byte (5) or without. */
function check(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const typed = publicKey.length === 33 ? Buffer.from(publicKey) : Buffer.concat([Buffer.of(5), publicKey])
  try {
    return verifySignature(typed, Buffer.from(message), Buffer.from(signature))
  } catch {
    return false
  }
}
