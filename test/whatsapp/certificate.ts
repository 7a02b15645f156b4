import { createHash } from 'node:crypto'
import { proto } from '@whiskeysockets/baileys'
import { keyPairFrom, sign, type KeyPair } from './curve.ts'

/**
 * The stand-in's chain of trust. All keys grow from a constant, so the preload in one process and the server in
 * another agree without a file. They guard nothing but loopback tests.
 */
const seeded = (name: string): KeyPair =>
  keyPairFrom(createHash('sha256').update(`mooring stand-in for WhatsApp: ${name}`).digest())

const root = seeded('root')
const intermediate = seeded('intermediate')

/** What a client has to trust: the public half of the root. */
export const ROOT_PUBLIC_KEY = root.public

/** The server's static Noise key, the one the leaf certificate speaks for. */
export const STATIC_KEY = seeded('static')

/** rc14 accepts only an intermediate whose issuer has serial 0 (`WA_CERT_DETAILS.SERIAL`). */
const ROOT_SERIAL = 0
const INTERMEDIATE_SERIAL = 1
const LEAF_SERIAL = 2
const NOT_BEFORE = Date.UTC(2024, 0, 1) / 1000
const NOT_AFTER = Date.UTC(2124, 0, 1) / 1000

let chain: Uint8Array | undefined

/** The encoded `CertChain` of the handshake: leaf signed by the intermediate, intermediate signed by the root. */
export function certificateChain(): Uint8Array {
  chain ??= proto.CertChain.encode({
    intermediate: certificate(INTERMEDIATE_SERIAL, ROOT_SERIAL, intermediate.public, root),
    leaf: certificate(LEAF_SERIAL, INTERMEDIATE_SERIAL, STATIC_KEY.public, intermediate),
  }).finish()
  return chain
}

function certificate(
  serial: number,
  issuerSerial: number,
  key: Buffer,
  issuer: KeyPair,
): proto.CertChain.INoiseCertificate {
  const body = { serial, issuerSerial, key, notBefore: NOT_BEFORE, notAfter: NOT_AFTER }
  const details = proto.CertChain.NoiseCertificate.Details.encode(body).finish()
  return { details, signature: sign(issuer, details) }
}
