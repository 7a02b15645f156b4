import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { CodedError } from './errors.ts'
import { pooledRandomBytes } from './random-pool.ts'

/** A data key, opened. `id` is 8 ASCII characters and travels in the clear in front of everything sealed with it. */
export interface OpenKey {
  id: string
  bytes: Uint8Array
}

const VERSION = 1
const ID_BYTES = 8
/** 96-bit random nonces: safe for 2^32 messages under one key (NIST SP 800-38D §8.3); data keys rotate long before. */
const IV_BYTES = 12
const TAG_BYTES = 16
/** What `macOf` is of, in bytes. */
export const MAC_BYTES = TAG_BYTES
const HEAD_BYTES = 1 + ID_BYTES + IV_BYTES
/** What sealing adds to a plaintext. */
export const ENVELOPE_BYTES = HEAD_BYTES + TAG_BYTES

/** Node takes ten times as long to prepare a key as to use it for a small entry, so each is prepared once. */
const prepared = new WeakMap<OpenKey, KeyObject>()

function prepare(key: OpenKey): KeyObject {
  const known = prepared.get(key)
  if (known) return known
  const secret = createSecretKey(key.bytes)
  prepared.set(key, secret)
  return secret
}

/**
 * AES-256-GCM over everything that leaves the process. `aad` binds the bytes to their place (tenant, session, kind, epoch,
 * seq), so that they can't be moved or replayed elsewhere. Layout: version, key id, nonce, ciphertext, tag.
 */
export function seal(key: OpenKey, plaintext: Uint8Array, aad: string): Uint8Array {
  assert(key.id.length === ID_BYTES, 'a data key has an id of eight characters')
  const sealed = Buffer.allocUnsafe(HEAD_BYTES + plaintext.length + TAG_BYTES)
  sealed[0] = VERSION
  sealed.write(key.id, 1, ID_BYTES, 'latin1')
  const iv = pooledRandomBytes(IV_BYTES)
  iv.copy(sealed, 1 + ID_BYTES)
  const cipher = createCipheriv('aes-256-gcm', prepare(key), iv)
  cipher.setAAD(bound(aad, sealed))
  cipher.update(plaintext).copy(sealed, HEAD_BYTES)
  cipher.final()
  cipher.getAuthTag().copy(sealed, HEAD_BYTES + plaintext.length)
  return sealed
}

/** The id of the data key that sealed these bytes. @throws CodedError `bad_bytes` */
export function sealedWith(sealed: Uint8Array): string {
  if (sealed.length < ENVELOPE_BYTES)
    throw new CodedError('bad_bytes', 'open sealed bytes: they are too short')
  if (sealed[0] !== VERSION)
    throw new CodedError('bad_bytes', `open sealed bytes: version ${sealed[0]} is not known`)
  return Buffer.from(sealed.buffer, sealed.byteOffset + 1, ID_BYTES).toString('latin1')
}

/**
 * The MAC of sealed bytes, in hex: their GCM tag, the last thing in them. Whoever lacks the data key can't make other bytes
 * with the same one, for it covers the nonce, the text and the additional data (NIST SP 800-38D §7.1); and it is there
 * already, where a digest would cost another pass over every entry. It tells two texts of one key apart and no more: GCM does
 * not commit to a key, so it says nothing to somebody who holds two of them.
 */
export function macOf(sealed: Uint8Array): string {
  const at = sealed.byteOffset + sealed.length - TAG_BYTES
  return Buffer.from(sealed.buffer, at, TAG_BYTES).toString('hex')
}

/** @throws CodedError `bad_bytes` for anything but the untouched bytes in their own place under their own key */
export function open(
  find: (keyId: string) => OpenKey | undefined,
  sealed: Uint8Array,
  aad: string,
): Uint8Array {
  const keyId = sealedWith(sealed)
  const key = find(keyId)
  if (!key)
    throw new CodedError('bad_bytes', `open sealed bytes: data key ${JSON.stringify(keyId)} is not there`)
  const view = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length)
  const decipher = createDecipheriv('aes-256-gcm', prepare(key), view.subarray(1 + ID_BYTES, HEAD_BYTES))
  decipher.setAAD(bound(aad, view))
  decipher.setAuthTag(view.subarray(view.length - TAG_BYTES))
  try {
    const head = decipher.update(view.subarray(HEAD_BYTES, view.length - TAG_BYTES))
    decipher.final()
    return head
  } catch (cause) {
    throw new CodedError('bad_bytes', 'open sealed bytes: the seal does not fit', { cause })
  }
}

/** The version and the key id are authenticated with the place, so neither can be exchanged. */
function bound(aad: string, sealed: Buffer): Buffer {
  return Buffer.concat([sealed.subarray(0, 1 + ID_BYTES), Buffer.from(aad, 'utf8')])
}
