import { randomBytes } from 'node:crypto'
import { open, seal } from './envelope.ts'
import { CodedError } from './errors.ts'
import type { KeyWrapper } from './store/key-wrapper.ts'

const VERSION = 1
/** Version and the length of the wrapped key. */
const HEAD_BYTES = 1 + 2
/** Each of these keys seals one thing only, so its id says nothing. */
const KEY_ID = 'one-time'

/**
 * Seals bytes for the runners: control can do this and can't undo it, since only runners may unwrap. A key made for this
 * one use is wrapped by the key-encryption key; `aad` names the place that the bytes belong to and is bound to both.
 * Layout: version, length of the wrapped key (16 bit), wrapped key, envelope.
 */
export async function sealBytes(keys: KeyWrapper, plaintext: Uint8Array, aad: string): Promise<Uint8Array> {
  const bytes = randomBytes(32)
  const { wrapped } = await keys.wrap(bytes, keyAad(aad))
  const head = Buffer.alloc(HEAD_BYTES)
  head[0] = VERSION
  head.writeUInt16BE(wrapped.length, 1)
  return Buffer.concat([head, wrapped, seal({ id: KEY_ID, bytes }, plaintext, aad)])
}

/** Runners only. @throws CodedError `bad_bytes`, and what `KeyWrapper.unwrap` throws */
export async function openBytes(keys: KeyWrapper, sealed: Uint8Array, aad: string): Promise<Uint8Array> {
  const view = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length)
  if (view.length < HEAD_BYTES || view[0] !== VERSION) {
    throw new CodedError('bad_bytes', 'open a sealed secret: its head is not known')
  }
  const end = HEAD_BYTES + view.readUInt16BE(1)
  if (view.length < end) throw new CodedError('bad_bytes', 'open a sealed secret: it is too short')
  const bytes = await keys.unwrap(view.subarray(HEAD_BYTES, end), keyAad(aad))
  return open((id) => (id === KEY_ID ? { id, bytes } : undefined), view.subarray(end), aad)
}

/** A short secret (a passphrase) as text that fits into the arguments of a job. */
export const sealSecret = async (keys: KeyWrapper, text: string, aad: string): Promise<string> =>
  Buffer.from(await sealBytes(keys, Buffer.from(text, 'utf8'), aad)).toString('base64')

/** Runners only. @throws CodedError `bad_bytes`, and what `KeyWrapper.unwrap` throws */
export const openSecret = async (keys: KeyWrapper, sealed: string, aad: string): Promise<string> =>
  Buffer.from(await openBytes(keys, Buffer.from(sealed, 'base64'), aad)).toString('utf8')

/** Where the secret of a job belongs: control seals for it, the runner opens for it. */
export const jobSecretAad = (key: string, jobId: string, what: 'passphrase' | 'import'): string =>
  `secret|${key}|${jobId}|${what}`

const keyAad = (aad: string): string => `one-time-key|${aad}`
