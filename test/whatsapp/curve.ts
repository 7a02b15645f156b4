import {
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  verify as verifyNatively,
  type KeyObject,
} from 'node:crypto'

/** A Curve25519 pair as WhatsApp writes it: 32 raw bytes each, no type byte. */
export interface KeyPair {
  readonly private: Buffer
  readonly public: Buffer
}

const X25519_PRIVATE = Buffer.from('302e020100300506032b656e04220420', 'hex')
const SPKI_HEADER_BYTES = 12

const FIELD = 2n ** 255n - 19n
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n

/** The key object of a raw private key. Building one costs more than using it, so long-lived keys keep theirs. */
export function privateKeyObject(raw: Buffer): KeyObject {
  return createPrivateKey({ key: Buffer.concat([X25519_PRIVATE, raw]), format: 'der', type: 'pkcs8' })
}

/** The pair that belongs to 32 private bytes. The same bytes always give the same pair. */
export function keyPairFrom(raw: Buffer): KeyPair {
  const spki = createPublicKey(privateKeyObject(raw)).export({ format: 'der', type: 'spki' })
  return { private: raw, public: spki.subarray(SPKI_HEADER_BYTES) }
}

/**
 * A fresh pair. Reading keys out as JWK is thirty times cheaper than as DER, and seeding makes tens of thousands.
 */
export function newKeyPair(): KeyPair {
  const { d = '', x = '' } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' })
  return { private: Buffer.from(d, 'base64url'), public: Buffer.from(x, 'base64url') }
}

/** A fresh pair that is only used here and now, so its private half never becomes bytes. */
export function newEphemeral(): { readonly key: KeyObject; readonly public: Buffer } {
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  return { key: privateKey, public: Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url') }
}

/** X25519 with Node's own implementation, which is several times faster than the JavaScript one Baileys carries. */
export function sharedKey(mine: Buffer | KeyObject, theirs: Uint8Array): Buffer {
  const x = Buffer.from(theirs).toString('base64url')
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' })
  return diffieHellman({ privateKey: Buffer.isBuffer(mine) ? privateKeyObject(mine) : mine, publicKey })
}

/**
 * Signs with a Curve25519 key (XEdDSA, the form that libsignal checks).
 *
 * Baileys needs 10 ms of JavaScript for this; a thousand seeded sessions need three thousand signatures. Here the
 * curve arithmetic is Node's: the nonce is the scalar of a throw-away Ed25519 key, and since a Montgomery key does not
 * say which of two Edwards points it stands for, the one that verifies is the right one.
 */
export function sign(pair: KeyPair, message: Uint8Array): Buffer {
  const scalar = fromLittleEndian(clamped(pair.private))
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const noncePoint = Buffer.from(x, 'base64url')
  const expandedSeed = createHash('sha512').update(Buffer.from(d, 'base64url')).digest()
  const nonce = fromLittleEndian(clamped(expandedSeed.subarray(0, 32)))
  for (const signBit of [0, 0x80]) {
    const point = edwardsPoint(pair.public, signBit)
    const hash = createHash('sha512').update(noncePoint).update(point).update(message).digest()
    const s = (nonce + fromLittleEndian(hash) * scalar) % ORDER
    const signature = Buffer.concat([noncePoint, toLittleEndian(s)])
    if (!verifyEdwards(point, message, signature)) continue
    signature[63] = (signature[63] ?? 0) | signBit
    return signature
  }
  throw new Error('neither point of the key verifies its own signature')
}

/** Checks an XEdDSA signature for real; Baileys' own `Curve.verify` answers true to any well-formed input. */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  const plain = Buffer.from(signature)
  const signBit = (plain[63] ?? 0) & 0x80
  plain[63] = (plain[63] ?? 0) & 0x7f
  return verifyEdwards(edwardsPoint(publicKey, signBit), message, plain)
}

function verifyEdwards(point: Buffer, message: Uint8Array, signature: Buffer): boolean {
  const x = point.toString('base64url')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  return verifyNatively(null, message, key, signature)
}

function edwardsPoint(montgomery: Uint8Array, signBit: number): Buffer {
  const u = fromLittleEndian(montgomery) % FIELD
  const y = ((u - 1n + FIELD) * inverse(u + 1n)) % FIELD
  const point = toLittleEndian(y)
  point[31] = (point[31] ?? 0) | signBit
  return point
}

function inverse(value: bigint): bigint {
  let [a, b, x, y] = [value % FIELD, FIELD, 1n, 0n]
  while (a > 1n) {
    const quotient = b / a
    ;[a, b, x, y] = [b % a, a, y - quotient * x, x]
  }
  return ((x % FIELD) + FIELD) % FIELD
}

function clamped(raw: Buffer): Buffer {
  const copy = Buffer.from(raw)
  copy[0] = (copy[0] ?? 0) & 248
  copy[31] = ((copy[31] ?? 0) & 127) | 64
  return copy
}

function fromLittleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes.toReversed()).toString('hex')}`)
}

function toLittleEndian(value: bigint): Buffer {
  return Buffer.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex').toReversed())
}
