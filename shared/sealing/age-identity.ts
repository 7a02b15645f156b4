import { hkdfSync } from 'node:crypto'
import { Decrypter, Encrypter, identityToRecipient } from 'age-encryption'
import { CodedError } from '#shared/errors.ts'

/** What opens, and the public half of it that may be shown to everybody. */
export interface AgeIdentity {
  secret: string | CryptoKey
  recipient: string
}

/** DER of an X25519 private key up to its 32 bytes: RFC 8410 §7. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex')

/**
 * An identity as `age-keygen` writes it: `AGE-SECRET-KEY-1…`, or the post-quantum `AGE-SECRET-KEY-PQ-1…`.
 * @throws CodedError `config`, without what the library says of it: that may hold the secret
 */
export async function readAgeIdentity(text: string): Promise<AgeIdentity> {
  try {
    const secret = text.trim()
    new Decrypter().addIdentity(secret)
    return { secret, recipient: await identityToRecipient(secret) }
  } catch {
    throw new CodedError('config', 'that is no age identity; age-keygen makes one, AGE-SECRET-KEY-1…')
  }
}

/**
 * The identity that belongs to a secret of at least 32 bytes, always the same. `label` keeps it apart from whatever else
 * comes from that secret.
 */
export async function deriveAgeIdentity(secret: Uint8Array, label: string): Promise<AgeIdentity> {
  const scalar = hkdfSync('sha256', secret, '', `mooring age identity v1|${label}`, 32)
  const der = Buffer.concat([PKCS8_HEAD, Buffer.from(scalar)])
  const key = await crypto.subtle.importKey('pkcs8', der, { name: 'X25519' }, false, ['deriveBits'])
  return { secret: key, recipient: await identityToRecipient(key) }
}

/**
 * Recipients as people write them in one line: `age1…`, several with commas or spaces between them. At least one.
 * @throws CodedError `config`
 */
export function readAgeRecipients(text: string): string[] {
  const recipients = text.split(/[\s,]+/).filter((each) => each !== '')
  if (recipients.length === 0) throw new CodedError('config', 'there is no age recipient')
  for (const [index, recipient] of recipients.entries()) {
    try {
      new Encrypter().addRecipient(recipient)
    } catch {
      // Not repeated: whoever mixes the two halves up has the secret one here.
      throw new CodedError('config', `number ${index + 1} is no age recipient; each begins with age1`)
    }
  }
  return recipients
}
