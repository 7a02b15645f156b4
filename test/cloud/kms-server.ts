import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { protos } from '@google-cloud/kms'
import { CRC32C } from '@google-cloud/storage'
import { grpc } from 'google-gax'

const kms = protos.google.cloud.kms.v1
type EncryptRequest = protos.google.cloud.kms.v1.IEncryptRequest
type DecryptRequest = protos.google.cloud.kms.v1.IDecryptRequest

/** Cloud KMS's Encrypt and Decrypt over gRPC without TLS, for the real client. */
export interface KmsServer {
  /** `host:port` */
  endpoint: string
  calls: { method: 'Encrypt' | 'Decrypt'; name: string }[]
  /** The next calls end with this gRPC status. */
  refuse(status: { code: number; details: string; times: number }): void
  /** The next answers have a byte changed on the way. */
  damage(times: number): void
  /** Later encryptions use a new version; old ciphertexts still open. */
  rotate(): void
  close(): Promise<void>
}

const LIMIT_BYTES = 64 * 1024
const sum = (bytes: Uint8Array): number => {
  const value = new CRC32C()
  value.update(Buffer.from(bytes))
  return value.valueOf() >>> 0
}

/**
 * Any name that begins as a key's name does is a key, unless `missing` holds it; each has its own secret, derived from its
 * name and version, so that restarting the stand-in loses nothing. `mayUse: false`: who calls here was given no role on any.
 */
export async function startKmsServer(
  options: { port?: number; missing?: string[]; mayUse?: boolean } = {},
): Promise<KmsServer> {
  const calls: KmsServer['calls'] = []
  let refusal = { code: 0, details: '', times: 0 }
  let damages = 0
  let version = 1

  const secret = (name: string) => createHash('sha256').update(`stand-in ${name}`).digest()

  function judge(method: 'Encrypt' | 'Decrypt', name: string): void {
    calls.push({ method, name })
    if (refusal.times > 0) {
      refusal.times--
      throw new Refused(refusal.code, refusal.details)
    }
    if (options.mayUse === false) {
      const right = method === 'Encrypt' ? 'useToEncrypt' : 'useToDecrypt'
      const details = `Permission 'cloudkms.cryptoKeyVersions.${right}' denied on resource '${name}'.`
      throw new Refused(grpc.status.PERMISSION_DENIED, details)
    }
    if (!/^projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+/.test(name)) {
      throw new Refused(grpc.status.INVALID_ARGUMENT, `${name} is not a key's name`)
    }
    if (options.missing?.includes(name))
      throw new Refused(grpc.status.NOT_FOUND, `CryptoKey ${name} not found.`)
  }

  function encrypt(request: EncryptRequest) {
    const name = request.name ?? ''
    judge('Encrypt', name)
    const [plaintext, aad] = [bytes(request.plaintext), bytes(request.additionalAuthenticatedData)]
    if (plaintext.length > LIMIT_BYTES)
      throw new Refused(grpc.status.INVALID_ARGUMENT, 'plaintext is too large')
    verify(request.plaintextCrc32c, plaintext)
    verify(request.additionalAuthenticatedDataCrc32c, aad)
    const used = `${name}/cryptoKeyVersions/${version}`
    const iv = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', secret(used), iv)
    cipher.setAAD(aad)
    const body = Buffer.concat([cipher.update(plaintext), cipher.final()])
    const ciphertext = Buffer.concat([Buffer.from([version]), iv, cipher.getAuthTag(), body])
    return {
      name: used,
      ciphertext: damaged(ciphertext),
      ciphertextCrc32c: { value: sum(ciphertext) },
      verifiedPlaintextCrc32c: isGiven(request.plaintextCrc32c),
      verifiedAdditionalAuthenticatedDataCrc32c: isGiven(request.additionalAuthenticatedDataCrc32c),
      protectionLevel: kms.ProtectionLevel.SOFTWARE,
    }
  }

  function decrypt(request: DecryptRequest) {
    const name = request.name ?? ''
    judge('Decrypt', name)
    const [ciphertext, aad] = [bytes(request.ciphertext), bytes(request.additionalAuthenticatedData)]
    verify(request.ciphertextCrc32c, ciphertext)
    verify(request.additionalAuthenticatedDataCrc32c, aad)
    const used = ciphertext[0] ?? 0
    try {
      const usedKey = secret(`${name}/cryptoKeyVersions/${used}`)
      const opener = createDecipheriv('aes-256-gcm', usedKey, ciphertext.subarray(1, 13))
      opener.setAAD(aad)
      opener.setAuthTag(ciphertext.subarray(13, 29))
      const plaintext = Buffer.concat([opener.update(ciphertext.subarray(29)), opener.final()])
      const plaintextCrc32c = { value: sum(plaintext) }
      return { plaintext: damaged(plaintext), plaintextCrc32c, usedPrimary: used === version }
    } catch {
      throw new Refused(
        grpc.status.INVALID_ARGUMENT,
        'Decryption failed: verify that "name" refers to the correct CryptoKey.',
      )
    }
  }

  function damaged(right: Buffer): Buffer {
    if (damages === 0) return right
    damages--
    const wrong = Buffer.from(right)
    wrong[0] = (wrong[0] ?? 0) ^ 1
    return wrong
  }

  const server = new grpc.Server()
  server.addService(
    {
      encrypt: method('Encrypt', kms.EncryptRequest, kms.EncryptResponse),
      decrypt: method('Decrypt', kms.DecryptRequest, kms.DecryptResponse),
    },
    { encrypt: unary(encrypt), decrypt: unary(decrypt) },
  )
  const port = await new Promise<number>((resolve, reject) => {
    const address = `127.0.0.1:${options.port ?? 0}`
    server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })

  return {
    endpoint: `127.0.0.1:${port}`,
    calls,
    refuse: (status) => {
      refusal = { ...status }
    },
    damage: (times) => {
      damages = times
    },
    rotate: () => void version++,
    close() {
      server.forceShutdown()
      return Promise.resolve()
    },
  }
}

class Refused extends Error {
  readonly code: number
  readonly details: string
  constructor(code: number, details: string) {
    super(details)
    this.code = code
    this.details = details
  }
}

interface Message {
  encode(message: object): { finish(): Uint8Array }
  decode(bytes: Uint8Array): unknown
}

const method = (name: string, request: unknown, response: unknown) => ({
  path: `/google.cloud.kms.v1.KeyManagementService/${name}`,
  requestStream: false,
  responseStream: false,
  requestSerialize: (message: object) => Buffer.from((request as Message).encode(message).finish()),
  requestDeserialize: (bytes: Buffer) => (request as Message).decode(bytes),
  responseSerialize: (message: object) => Buffer.from((response as Message).encode(message).finish()),
  responseDeserialize: (bytes: Buffer) => (response as Message).decode(bytes),
})

const unary =
  <Q, A>(handle: (request: Q) => A) =>
  (call: { request: Q }, answer: (error: Refused | null, value?: A) => void): void => {
    try {
      answer(null, handle(call.request))
    } catch (error) {
      answer(error instanceof Refused ? error : new Refused(grpc.status.INTERNAL, String(error)))
    }
  }

const isGiven = <T>(value: T | null | undefined): value is T => value !== null && value !== undefined

function verify(given: { value?: unknown } | null | undefined, value: Uint8Array): void {
  if (!isGiven(given)) return
  if (Number(given.value ?? 0) !== sum(value))
    throw new Refused(grpc.status.INVALID_ARGUMENT, 'checksum does not match')
}

const bytes = (value: Uint8Array | string | null | undefined): Buffer =>
  typeof value === 'string' ? Buffer.from(value, 'base64') : Buffer.from(value ?? [])
