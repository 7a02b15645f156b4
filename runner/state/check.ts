import { createPrivateKey, createPublicKey } from 'node:crypto'
import { isPaired } from './paired.ts'
import { CREDS_KEY, decodeValue } from './record.ts'
import type { RecordMap } from './record-map.ts'

const KEY_BYTES = 32
const SIGNATURE_BYTES = 64
/** 14 bits, as Baileys draws them. */
const REGISTRATION_ID_MAX = 0x3f_ff
/** Ids are 24 bit on the wire. */
const PRE_KEY_ID_MAX = 0xff_ff_ff

interface StoredCreds {
  noiseKey?: unknown
  signedIdentityKey?: unknown
  signedPreKey?: { keyPair?: unknown; signature?: unknown; keyId?: unknown }
  registrationId?: unknown
  advSecretKey?: unknown
  nextPreKeyId?: unknown
  account?: { accountSignature?: unknown; accountSignatureKey?: unknown; deviceSignature?: unknown }
}

/**
 * Whether the stored credentials are valid and complete, found out without a connection and without a QR: `problems` names
 * each thing that is missing or wrong, and no secret. That WhatsApp still knows the device is not said by this. Pure.
 */
export function checkState(records: RecordMap): { valid: boolean; problems: string[] } {
  const problems = [...findProblems(records)]
  return { valid: problems.length === 0, problems }
}

function* findProblems(records: RecordMap): Generator<string> {
  const bytes = records.get(CREDS_KEY)
  if (!bytes) {
    yield 'there are no credentials'
    return
  }
  const creds = decoded(bytes)
  if (typeof creds !== 'object' || creds === null) {
    yield 'the credentials are not readable'
    return
  }
  const { noiseKey, signedIdentityKey, signedPreKey, account, ...rest } = creds as StoredCreds
  if (!isPaired(creds)) yield 'the device is not linked'
  yield* keyPairProblems('the noise key', noiseKey)
  yield* keyPairProblems('the identity key', signedIdentityKey)
  yield* keyPairProblems('the signed pre-key', signedPreKey?.keyPair)
  if (!hasBytes(signedPreKey?.signature, SIGNATURE_BYTES)) yield 'the signed pre-key has no signature'
  if (!isWithin(signedPreKey?.keyId, 1, PRE_KEY_ID_MAX)) yield 'the signed pre-key has no id'
  if (!isWithin(rest.registrationId, 0, REGISTRATION_ID_MAX)) yield 'the registration id is out of range'
  if (!hasBytes(rest.advSecretKey, KEY_BYTES)) yield 'the secret of the companion device is missing'
  if (!hasBytes(account?.accountSignature, SIGNATURE_BYTES)) yield 'the signature of the account is missing'
  if (!hasBytes(account?.deviceSignature, SIGNATURE_BYTES)) yield 'the signature of the device is missing'
  yield* preKeyProblems(records, rest.nextPreKeyId)
  yield* unreadableRecords(records)
}

/** Both halves are there, and belong together: a torn or mixed copy has two that don't. */
function* keyPairProblems(name: string, pair: unknown): Generator<string> {
  const { public: open, private: secret } = (pair ?? {}) as { public?: unknown; private?: unknown }
  if (!hasBytes(open, KEY_BYTES) || !hasBytes(secret, KEY_BYTES))
    yield `${name} is missing or has a wrong length`
  else if (!publicHalf(toBytes(secret)).equals(toBytes(open)))
    yield `the halves of ${name} don't belong together`
}

function* preKeyProblems(records: RecordMap, next: unknown): Generator<string> {
  let count = 0
  let highest = 0
  for (const id of records.idsOf('pre-key')) {
    count++
    highest = Math.max(highest, Number(id) || 0)
  }
  if (count === 0) yield 'there is no pre-key'
  if (!isWithin(next, 1, PRE_KEY_ID_MAX)) yield 'the next pre-key id is out of range'
  else if (next <= highest)
    yield `the next pre-key id ${next} is not above the highest stored one, ${highest}`
}

function* unreadableRecords(records: RecordMap): Generator<string> {
  let count = 0
  for (const [key, bytes] of records.entries()) if (key !== CREDS_KEY && decoded(bytes) === undefined) count++
  if (count > 0) yield `${count} records are not readable`
}

function decoded(bytes: Uint8Array): unknown {
  try {
    return decodeValue(bytes)
  } catch {
    return undefined
  }
}

const isWithin = (value: unknown, min: number, max: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max

/** Bytes, or the base64 that a protobuf object makes of them. */
const hasBytes = (value: unknown, length: number): boolean => toBytes(value).length === length

const toBytes = (value: unknown): Buffer => {
  if (typeof value === 'string') return Buffer.from(value, 'base64')
  return value instanceof Uint8Array ? Buffer.from(value) : Buffer.alloc(0)
}

/** What goes before the 32 bytes of an X25519 private key in PKCS #8 (RFC 8410 §7). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex')

function publicHalf(secret: Buffer): Buffer {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, secret]), format: 'der', type: 'pkcs8' })
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES)
}
