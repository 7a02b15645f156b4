import { createHash, randomBytes, scryptSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CodedError } from '../errors.ts'
import type { Random } from '../random.ts'
import { createFile } from './durable-file.ts'
import { mustBePrivate } from './private-files.ts'
import { isSystemError } from './sqlite-error.ts'

/** A key-encryption key: 32 bytes, and the short hash that says which one it is. */
export interface Key {
  bytes: Buffer
  version: string
}

const KEY_BYTES = 32
/** Shorter text has too little in it, however it is stretched. */
const TEXT_LENGTH_MIN = 32
/**
 * The salt can't be random: every process of an installation must come to the same key from the text alone. N of 2^15
 * costs some 80 ms and 32 MiB once per start (OWASP's advice for scrypt is of this order).
 */
const SCRYPT_SALT = 'mooring.key.v1'
const SCRYPT_COST = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 << 20 }

/** A process has one setting, and asks for its key for the wrapper, the content secret and the inbound identity alike. */
let stretched: { text: string; key: Key } | undefined

const toKey = (bytes: Buffer): Key => ({
  bytes,
  version: createHash('sha256').update('mooring key version').update(bytes).digest('hex').slice(0, 16),
})

/**
 * The key that a text stands for: 64 hex digits or the base64 of 32 bytes are the key itself, any other text of at
 * least 32 characters is stretched to one by scrypt.
 * @throws CodedError `config`
 */
export function keyFromText(text: string): Key {
  const trimmed = text.trim()
  const exact = exactKey(trimmed)
  if (exact) return exact
  if (trimmed.length < TEXT_LENGTH_MIN) {
    const rule = '32 bytes as hex or base64, or any text of at least 32 characters'
    throw new CodedError('config', `MOORING_KEY must be ${rule}`, { field: 'MOORING_KEY' })
  }
  if (stretched?.text !== trimmed)
    stretched = { text: trimmed, key: toKey(scryptSync(trimmed, SCRYPT_SALT, KEY_BYTES, SCRYPT_COST)) }
  return stretched.key
}

function exactKey(text: string): Key | undefined {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return toKey(Buffer.from(text, 'hex'))
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return toKey(Buffer.from(text, 'base64'))
  return undefined
}

/**
 * The keys of a key file, newest first: one key a line, as hex or base64; empty lines and lines that begin with `#` are
 * skipped. `undefined` when there is no file.
 * @throws CodedError `config` when others may read it or a line is no key
 */
export async function readKeyFile(path: string): Promise<Key[] | undefined> {
  let text: string
  try {
    mustBePrivate(path, 'key file')
    text = await readFile(path, 'utf8')
  } catch (thrown) {
    if (isSystemError(thrown, 'ENOENT')) return undefined
    throw thrown
  }
  const lines = text.split('\n').map((line) => line.trim())
  const keys = lines
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'))
    .map(({ line, number }) => {
      const key = exactKey(line)
      if (!key)
        throw new CodedError('config', `line ${number} of ${path} is no key of 32 bytes as hex or base64`)
      return key
    })
  if (keys.length === 0) throw new CodedError('config', `the key file ${path} has no key in it`)
  return keys
}

/** All keys of an installation that has some, newest first. @throws what reading a key file throws */
export async function storedKeys(dataDir: string, keyText: string | undefined): Promise<Key[]> {
  const inFile = (await readKeyFile(join(dataDir, 'key'))) ?? []
  return keyText === undefined ? inFile : [keyFromText(keyText), ...inFile]
}

/** Makes a key file with one fresh key, unless another process was first. */
export async function makeKeyFile(path: string, random: Random): Promise<void> {
  const line = Buffer.from(`${randomBytes(KEY_BYTES).toString('base64')}\n`)
  await createFile(path, join(dirname(path), `key.${random.id()}`), [line])
}
