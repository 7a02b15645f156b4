import { createCipheriv, createDecipheriv, createHash, createHmac } from 'node:crypto'
import { NOISE_MODE, NOISE_WA_HEADER, proto } from '@whiskeysockets/baileys'
import { certificateChain, STATIC_KEY } from './certificate.ts'
import { newEphemeral, privateKeyObject, sharedKey } from './curve.ts'

/**
 * The server's side of WhatsApp's Noise_XX_25519_AESGCM_SHA256, one object per connection. Bytes go in, frames come
 * out; it owns no socket.
 *
 * `feed` yields whole frames as they stand on the wire. The first must go to `answerHello`, the second to `finish`;
 * from then on `open` and `seal` are the transport ciphers, each with its own counter, so every frame must pass
 * through them exactly once and in order.
 */
export interface NoiseServer {
  feed(bytes: Buffer): Buffer[]
  answerHello(frame: Buffer): Buffer
  finish(frame: Buffer): { payload: Buffer; clientStatic: Buffer }
  open(frame: Buffer): Buffer
  seal(plaintext: Uint8Array): Buffer
}

/** One direction of the transport. */
interface Cipher {
  readonly key: Buffer
  counter: number
}

const EMPTY = Buffer.alloc(0)
const TAG_BYTES = 16
/** A client that knows its region puts this header, with a length and routing bytes, before the WhatsApp one. */
const ROUTING_HEADER = Buffer.from('ED')
const ROUTING_HEADER_BYTES = 7

const staticKeyObject = privateKeyObject(STATIC_KEY.private)

/** Starts the responder for one connection. */
export function noiseServer(): NoiseServer {
  const mode = Buffer.from(NOISE_MODE)
  let hash: Buffer = mode.length === 32 ? mode : sha256(mode)
  let salt = hash
  let key = hash
  let counter = 0
  let inbox: Buffer = EMPTY
  let introSeen = false
  const ephemeral = newEphemeral()
  let reading: Cipher = { key: EMPTY, counter: 0 }
  let writing: Cipher = { key: EMPTY, counter: 0 }

  const authenticate = (data: Uint8Array): void => {
    hash = sha256(hash, data)
  }
  const mix = (secret: Uint8Array): void => {
    const [nextSalt, nextKey] = expand(secret, salt)
    salt = nextSalt
    key = nextKey
    counter = 0
  }
  const encrypt = (plaintext: Uint8Array): Buffer => {
    const sealed = sealGcm(plaintext, key, counter++, hash)
    authenticate(sealed)
    return sealed
  }
  const decrypt = (ciphertext: Uint8Array): Buffer => {
    const opened = openGcm(Buffer.from(ciphertext), key, counter++, hash)
    authenticate(ciphertext)
    return opened
  }

  return {
    feed(bytes) {
      inbox = inbox.length ? Buffer.concat([inbox, bytes]) : bytes
      if (!introSeen) {
        const intro = introBytes(inbox)
        if (intro === undefined) return []
        inbox = inbox.subarray(intro)
        introSeen = true
      }
      const frames: Buffer[] = []
      while (inbox.length >= 3 && inbox.length >= 3 + inbox.readUIntBE(0, 3)) {
        const end = 3 + inbox.readUIntBE(0, 3)
        frames.push(inbox.subarray(3, end))
        inbox = inbox.subarray(end)
      }
      return frames
    },
    answerHello(frame) {
      const { clientHello } = proto.HandshakeMessage.decode(frame)
      if (!clientHello?.ephemeral) throw new Error('client hello without an ephemeral key')
      authenticate(NOISE_WA_HEADER)
      authenticate(clientHello.ephemeral)
      authenticate(ephemeral.public)
      mix(sharedKey(ephemeral.key, clientHello.ephemeral))
      const sealedStatic = encrypt(STATIC_KEY.public)
      mix(sharedKey(staticKeyObject, clientHello.ephemeral))
      const payload = encrypt(certificateChain())
      const serverHello = { ephemeral: ephemeral.public, static: sealedStatic, payload }
      return framed(proto.HandshakeMessage.encode({ serverHello }).finish())
    },
    finish(frame) {
      const { clientFinish } = proto.HandshakeMessage.decode(frame)
      if (!clientFinish?.static || !clientFinish.payload) throw new Error('client finish is incomplete')
      const clientStatic = decrypt(clientFinish.static)
      mix(sharedKey(ephemeral.key, clientStatic))
      const payload = decrypt(clientFinish.payload)
      const [fromClient, toClient] = expand(EMPTY, salt)
      reading = { key: fromClient, counter: 0 }
      writing = { key: toClient, counter: 0 }
      return { payload, clientStatic }
    },
    open: (frame) => openGcm(frame, reading.key, reading.counter++, EMPTY),
    seal: (plaintext) => framed(sealGcm(plaintext, writing.key, writing.counter++, EMPTY)),
  }
}

function introBytes(start: Buffer): number | undefined {
  let intro = NOISE_WA_HEADER.length
  if (start.subarray(0, 2).equals(ROUTING_HEADER)) {
    if (start.length < ROUTING_HEADER_BYTES) return undefined
    intro += ROUTING_HEADER_BYTES + start.readUIntBE(4, 3)
  }
  return start.length < intro ? undefined : intro
}

function framed(data: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(3 + data.length)
  frame.writeUIntBE(data.length, 0, 3)
  frame.set(data, 3)
  return frame
}

function sha256(...parts: readonly Uint8Array[]): Buffer {
  const digest = createHash('sha256')
  for (const part of parts) digest.update(part)
  return digest.digest()
}

/** HKDF-SHA256 to 64 bytes without info, spelled out because two HMACs and a third are all it is. */
function expand(secret: Uint8Array, salt: Buffer): [Buffer, Buffer] {
  const prk = createHmac('sha256', salt).update(secret).digest()
  const first = createHmac('sha256', prk)
    .update(Buffer.from([1]))
    .digest()
  const second = createHmac('sha256', prk)
    .update(first)
    .update(Buffer.from([2]))
    .digest()
  return [first, second]
}

function nonce(counter: number): Buffer {
  const iv = Buffer.alloc(12)
  iv.writeUInt32BE(counter, 8)
  return iv
}

function sealGcm(plaintext: Uint8Array, key: Buffer, counter: number, aad: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce(counter))
  cipher.setAAD(aad)
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

function openGcm(sealed: Buffer, key: Buffer, counter: number, aad: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce(counter))
  decipher.setAAD(aad)
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
  return Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES)), decipher.final()])
}
