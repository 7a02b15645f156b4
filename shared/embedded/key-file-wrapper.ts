import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { CodedError } from '../errors.ts'
import type { Random } from '../random.ts'
import type { KeyWrapper } from '../store/key-wrapper.ts'
import { keyFromText, makeKeyFile, readKeyFile, type Key } from './key-material.ts'
import { openingError } from './sqlite-error.ts'

/** A wrapped key is: format (1) · key version (8) · nonce (12) · tag (16) · the encrypted data key. */
const FORMAT = 1
const VERSION_BYTES = 8
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** What `toKey` makes of a key; data keys of other versions were wrapped elsewhere. */
const VERSION = /^[0-9a-f]{16}$/
const HEAD_BYTES = 1 + VERSION_BYTES + NONCE_BYTES + TAG_BYTES

/**
 * Data keys wrapped with AES-256-GCM under a key of this machine: the one that `keyText` stands for, else that of
 * `{dataDir}/key`, which is made at the first start. The first key wraps, all unwrap: to rotate, put a new line on top
 * of the file, and take the old one away once everything was wrapped again. A file beside a `keyText` still unwraps, so
 * that an installation can move from the one to the other in the same way.
 *
 * `inUse` are the versions that data keys are wrapped with. A key file that is gone is not made anew while there are any,
 * and keys of which none opened anything are not this installation's.
 * @throws CodedError `config`, `store_unavailable`
 */
export async function keyFileWrapper(options: KeyFileOptions): Promise<KeyWrapper> {
  const keys = await loadKeys(options)
  const [current] = keys
  if (!current) throw new CodedError('config', 'there is no key to wrap with')
  const ours = options.inUse.filter((version) => VERSION.test(version))
  if (ours.length > 0 && !keys.some(({ version }) => ours.includes(version)))
    throw keyIsLost(options, 'another')
  return {
    async wrap(dataKey, aad) {
      const version = Buffer.from(current.version, 'hex')
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', current.bytes, nonce).setAAD(Buffer.from(aad))
      const sealed = [cipher.update(dataKey), cipher.final()]
      const wrapped = Buffer.concat([Buffer.of(FORMAT), version, nonce, cipher.getAuthTag(), ...sealed])
      return { wrapped: new Uint8Array(wrapped), keyVersion: current.version }
    },

    async unwrap(wrapped, aad) {
      const bytes = Buffer.from(wrapped)
      const version = bytes.toString('hex', 1, 1 + VERSION_BYTES)
      const key = keys.find((known) => known.version === version)
      if (!key || bytes[0] !== FORMAT || bytes.length < HEAD_BYTES) {
        throw new CodedError('wrong_key', 'the key that wrapped this data key is not here')
      }
      const nonce = bytes.subarray(1 + VERSION_BYTES, 1 + VERSION_BYTES + NONCE_BYTES)
      const tag = bytes.subarray(HEAD_BYTES - TAG_BYTES, HEAD_BYTES)
      const decipher = createDecipheriv('aes-256-gcm', key.bytes, nonce, { authTagLength: TAG_BYTES })
      try {
        decipher.setAAD(Buffer.from(aad)).setAuthTag(tag)
        const dataKey = Buffer.concat([decipher.update(bytes.subarray(HEAD_BYTES)), decipher.final()])
        return new Uint8Array(dataKey)
      } catch (thrown) {
        throw new CodedError('wrong_key', 'unwrap a data key', { cause: thrown })
      }
    },

    currentVersion: async () => current.version,
  }
}

interface KeyFileOptions {
  dataDir: string
  keyText?: string
  random: Random
  inUse: readonly string[]
}

function keyIsLost({ dataDir }: KeyFileOptions, which: 'no' | 'another'): CodedError {
  const what = which === 'no' ? 'there is no key' : 'the key is not the one'
  const message = `${join(dataDir, 'key')}: ${what} that the data in ${dataDir} is sealed with`
  const hint =
    'Put the key file back from a backup, or set MOORING_KEY where the key came from there: nothing else opens the data. ' +
    'To begin anew, move the whole data directory away first.'
  return new CodedError('config', message, { hint })
}

async function loadKeys(options: KeyFileOptions): Promise<Key[]> {
  const path = join(options.dataDir, 'key')
  try {
    if (options.keyText !== undefined) {
      return [keyFromText(options.keyText), ...((await readKeyFile(path)) ?? [])]
    }
    const found = await readKeyFile(path)
    if (found) return found
    if (options.inUse.length > 0) throw keyIsLost(options, 'no')
    await makeKeyFile(path, options.random)
    return (await readKeyFile(path)) ?? []
  } catch (thrown) {
    throw openingError('read the key', thrown, path)
  }
}
