import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto'
import { Stanza, type Identity, type Recipient } from 'age-encryption'
import { CodedError } from '#shared/errors.ts'
import { badFile, WORK_FACTOR_MAX } from './age-header.ts'

/** age-encryption.org/v1, "scrypt recipient type". */
const LABEL = 'age-encryption.org/v1/scrypt'
const SALT_BYTES = 16
const TAG_BYTES = 16
const SEALED_KEY_BYTES = 32
const R = 8

/**
 * The library's own would do the same on the event loop, half a second at a time; this one is computed by libuv's pool,
 * one at a time in a process, because each takes 64 MiB.
 */
export function passphraseRecipient(passphrase: string, workFactor = WORK_FACTOR_MAX): Recipient {
  return {
    async wrapFileKey(fileKey) {
      const salt = randomBytes(SALT_BYTES)
      const key = await inTurn(() => derive(passphrase, salt, workFactor))
      const cipher = createCipheriv('chacha20-poly1305', key, NONCE, { authTagLength: TAG_BYTES })
      const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()])
      return [new Stanza(['scrypt', salt.toString('base64').replaceAll('=', ''), String(workFactor)], body)]
    },
  }
}

/** Its header was judged before, so the work factor is bearable and the stanza the only one. */
export function passphraseIdentity(passphrase: string): Identity {
  return {
    async unwrapFileKey([stanza]) {
      const [, saltText = '', workFactor = ''] = stanza?.args ?? []
      const salt = Buffer.from(saltText, 'base64')
      if (stanza?.body.length !== SEALED_KEY_BYTES || salt.length !== SALT_BYTES)
        throw badFile('its header is damaged')
      const key = await inTurn(() => derive(passphrase, salt, Number(workFactor)))
      const decipher = createDecipheriv('chacha20-poly1305', key, NONCE, { authTagLength: TAG_BYTES })
      decipher.setAuthTag(stanza.body.subarray(-TAG_BYTES))
      try {
        return Buffer.concat([decipher.update(stanza.body.subarray(0, -TAG_BYTES)), decipher.final()])
      } catch {
        // Another passphrase.
        return null
      }
    },
  }
}

/** Each key seals one file key, so the nonce may stay what the format says it is. */
const NONCE = Buffer.alloc(12)

const derive = (passphrase: string, salt: Buffer, workFactor: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const N = 2 ** workFactor
    const labelled = Buffer.concat([Buffer.from(LABEL), salt])
    scrypt(passphrase, labelled, 32, { N, r: R, p: 1, maxmem: 256 * N * R }, (error, key) =>
      error
        ? reject(new CodedError('overloaded', 'derive a key from a passphrase', { cause: error }))
        : resolve(key),
    )
  })

let last: Promise<unknown> = Promise.resolve()
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = last.then(work)
  last = mine.catch(() => {})
  return mine
}
