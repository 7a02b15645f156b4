import { hkdfSync } from 'node:crypto'
import type { Config } from './config.ts'
import { storedKeys } from './embedded/key-material.ts'
import { CodedError } from './errors.ts'
import { readContentSecret, VERSIONS_MAX, type ContentSecret } from './sealing/content-secret.ts'

const SECRET_BYTES = 32

/**
 * The content secret of the settings, which the Google set demands; on one machine it follows from the installation's keys,
 * so that a rotated key file goes on opening what was sealed before.
 * @throws CodedError `config`
 */
export async function contentSecret(
  config: Pick<Config, 'MOORING_CONTENT_SECRET' | 'MOORING_DATA_DIR' | 'MOORING_KEY' | 'MOORING_STORE'>,
): Promise<ContentSecret> {
  if (config.MOORING_CONTENT_SECRET !== undefined) return readContentSecret(config.MOORING_CONTENT_SECRET)
  if (config.MOORING_STORE === 'google')
    throw new CodedError('config', 'MOORING_CONTENT_SECRET is needed when MOORING_STORE is google')
  const keys = await storedKeys(config.MOORING_DATA_DIR, config.MOORING_KEY)
  if (keys.length === 0)
    throw new CodedError(
      'config',
      `there is no key in ${config.MOORING_DATA_DIR} that a content secret could follow from`,
    )
  // Of a key that was rotated so often nothing is left: bodies are kept for some weeks.
  const newest = keys.slice(0, VERSIONS_MAX)
  return readContentSecret(newest.map(({ bytes }) => derived(bytes)).join(','))
}

function derived(key: Uint8Array): string {
  const bytes = hkdfSync('sha256', key, new Uint8Array(0), 'mooring content secret v1', SECRET_BYTES)
  return Buffer.from(bytes).toString('base64url')
}
