import type { KeyManagementServiceClient } from '@google-cloud/kms'
import { grpc } from 'google-gax'
import { CodedError } from '../errors.ts'
import type { KeyWrapper } from '../store/key-wrapper.ts'
import type { Calls } from './calls.ts'
import { crc32c } from './crc32c.ts'
import type { Meter } from './meter.ts'
import { noCredentials } from './no-credentials.ts'
import { asStoreError, codeOf, GRPC } from './vendor-error.ts'

/** A checksum that differs means bytes damaged on the way; Google's advice is to discard and ask again a few times. */
const TRIES_MAX = 3
/** What `currentVersion` encrypts to learn the version; bound to an `aad` that no data key has. */
const PROBE = { bytes: new Uint8Array([0]), aad: 'mooring|version' }

export interface KmsOptions {
  /** `projects/…/locations/…/keyRings/…/cryptoKeys/…` */
  key: string
  /** `host:port` of a stand-in without TLS. */
  endpoint?: string | undefined
  calls: Calls
  meter: Meter
}

/**
 * Cloud KMS: one call for each data key, nothing kept. The caller keeps opened data keys, in memory only. The client is
 * made for the first call: it takes 150 ms and 25 MiB, and control hardly ever makes one.
 */
export function kmsKeyWrapper(options: KmsOptions): KeyWrapper & { close(): Promise<void> } {
  const { key, calls, meter } = options
  let made: Promise<KeyManagementServiceClient> | undefined
  const client = () => (made ??= createClient(options.endpoint))

  async function ask<T>(what: string, work: () => Promise<T>): Promise<T> {
    meter.count('keyCalls', 1, what)
    try {
      return await calls.within(what, work)
    } catch (error) {
      throw asStoreError(error, what)
    }
  }

  async function encrypt(what: string, plaintext: Uint8Array, aad: string) {
    const additionalAuthenticatedData = Buffer.from(aad)
    const plaintextCrc32c = { value: await crc32c(plaintext) }
    const additionalAuthenticatedDataCrc32c = { value: await crc32c(additionalAuthenticatedData) }
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const [answer] = await ask(what, async () => {
        const kms = await client()
        return kms.encrypt({
          name: key,
          plaintext,
          additionalAuthenticatedData,
          plaintextCrc32c,
          additionalAuthenticatedDataCrc32c,
        })
      })
      const wrapped = bytes(answer.ciphertext)
      const whole =
        answer.verifiedPlaintextCrc32c === true &&
        answer.verifiedAdditionalAuthenticatedDataCrc32c === true &&
        Number(answer.ciphertextCrc32c?.value) === (await crc32c(wrapped))
      if (whole) return { wrapped, keyVersion: answer.name ?? '' }
    }
    throw new CodedError('store_unavailable', `${what}: bytes were damaged on the way, ${TRIES_MAX} times`)
  }

  async function decrypt(wrapped: Uint8Array, aad: string): Promise<Uint8Array> {
    const what = 'unwrap a data key'
    const additionalAuthenticatedData = Buffer.from(aad)
    const request = {
      name: key,
      ciphertext: wrapped,
      additionalAuthenticatedData,
      ciphertextCrc32c: { value: await crc32c(wrapped) },
      additionalAuthenticatedDataCrc32c: { value: await crc32c(additionalAuthenticatedData) },
    }
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const [answer] = await ask(what, async () => {
        try {
          return await (await client()).decrypt(request)
        } catch (error) {
          // Another key, another `aad` or damaged bytes: KMS does not say which, and it is never a passing matter.
          if (codeOf(error) !== GRPC.invalidArgument) throw error
          throw new CodedError('wrong_key', what, { cause: error })
        }
      })
      const plaintext = bytes(answer.plaintext)
      if (Number(answer.plaintextCrc32c?.value ?? 0) === (await crc32c(plaintext))) return plaintext
    }
    throw new CodedError('store_unavailable', `${what}: bytes were damaged on the way, ${TRIES_MAX} times`)
  }

  return {
    wrap: (dataKey, aad) => encrypt('wrap a data key', dataKey, aad),
    unwrap: decrypt,
    /** By an encryption, because the roles that may encrypt and decrypt may not read a key's description. */
    async currentVersion() {
      return (await encrypt('ask for the key version', PROBE.bytes, PROBE.aad)).keyVersion
    },
    async close() {
      await (await made)?.close()
    },
  }
}

/** Of a process that may use no key. */
export const noKeyWrapper: KeyWrapper & { close(): Promise<void> } = {
  wrap: () => Promise.reject(noKey()),
  unwrap: () => Promise.reject(noKey()),
  currentVersion: () => Promise.reject(noKey()),
  close: () => Promise.resolve(),
}

const noKey = (): CodedError => new CodedError('wrong_key', 'this process has no key-encryption key')

async function createClient(endpoint: string | undefined): Promise<KeyManagementServiceClient> {
  const { KeyManagementServiceClient } = await import('@google-cloud/kms')
  if (endpoint === undefined) return new KeyManagementServiceClient()
  const [host = 'localhost', port = '443'] = endpoint.split(':')
  return new KeyManagementServiceClient({
    apiEndpoint: host,
    port: Number(port),
    sslCreds: grpc.credentials.createInsecure(),
    auth: noCredentials(),
  })
}

const bytes = (value: Uint8Array | string | null | undefined): Uint8Array =>
  typeof value === 'string' ? new Uint8Array(Buffer.from(value, 'base64')) : new Uint8Array(value ?? [])
