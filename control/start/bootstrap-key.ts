import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Config } from '#shared/config.ts'
import { createFile, makeFolder } from '#shared/embedded/durable-file.ts'
import { mustBePrivate } from '#shared/embedded/private-files.ts'
import { openingError } from '#shared/embedded/sqlite-error.ts'
import { CodedError } from '#shared/errors.ts'

/** The bootstrap admin key, and where it comes from. */
export interface BootstrapKey {
  text: string
  /** `made` is shown once; the others are known to whoever set them. */
  from: 'setting' | 'file' | 'made'
  path?: string
}

const KEY_BYTES = 32

/**
 * The admin key of the settings, or for the embedded stores one that is made at the first start and kept in a 0600 file of
 * the data directory. Only its hash goes further than this. Of processes that start together all get the same.
 * @throws CodedError `config` when the file holds no key, or others can read it
 */
export async function bootstrapKey(
  config: Pick<Config, 'MOORING_ADMIN_KEY'>,
  dataDir: string,
  randomBytes: (size: number) => Buffer,
): Promise<BootstrapKey> {
  if (config.MOORING_ADMIN_KEY !== undefined) return { text: config.MOORING_ADMIN_KEY, from: 'setting' }
  const path = join(dataDir, 'admin-key')
  const kept = await readKey(path)
  if (kept !== undefined) return { text: kept, from: 'file', path }
  const text = `moor_${randomBytes(KEY_BYTES).toString('base64url')}`
  if (await makeFile(path, text, randomBytes)) return { text, from: 'made', path }
  return { text: (await readKey(path)) ?? text, from: 'file', path }
}

/**
 * What marks API keys: of the settings, which the Google stores demand, or made at the first start and kept like the admin
 * key.
 * @throws CodedError `config` when the file holds nothing, or others can read it
 */
export async function keyPepper(
  config: Pick<Config, 'MOORING_KEY_PEPPER'>,
  dataDir: string,
  randomBytes: (size: number) => Buffer,
): Promise<string> {
  if (config.MOORING_KEY_PEPPER !== undefined) return config.MOORING_KEY_PEPPER
  const path = join(dataDir, 'key-pepper')
  const kept = await readKey(path, 'key pepper')
  if (kept !== undefined) return kept
  const text = randomBytes(KEY_BYTES).toString('base64url')
  if (await makeFile(path, text, randomBytes)) return text
  return (await readKey(path, 'key pepper')) ?? text
}

/** False when another process was first. */
async function makeFile(path: string, text: string, randomBytes: (size: number) => Buffer): Promise<boolean> {
  const scratch = `${path}.${randomBytes(8).toString('hex')}`
  try {
    await makeFolder(dirname(path))
    return await createFile(path, scratch, [Buffer.from(`${text}\n`)])
  } catch (thrown) {
    throw openingError('make it', thrown, path)
  }
}

/** `undefined` when there is no file. */
async function readKey(path: string, what = 'admin key'): Promise<string | undefined> {
  if (existsSync(path)) mustBePrivate(path, what)
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw openingError(`read the ${what}`, error, path)
  })
  if (text?.trim() === '')
    throw new CodedError('config', `the ${what} ${path} is empty: remove it, and a new one is made`)
  return text?.trim()
}
