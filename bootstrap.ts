import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '#shared/config.ts'

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
 * the data directory. Only its hash goes further than this.
 */
export async function bootstrapKey(
  config: Pick<Config, 'MOORING_ADMIN_KEY'>,
  dataDir: string,
  randomBytes: (size: number) => Buffer,
): Promise<BootstrapKey> {
  if (config.MOORING_ADMIN_KEY !== undefined) return { text: config.MOORING_ADMIN_KEY, from: 'setting' }
  const path = join(dataDir, 'admin-key')
  const kept = await readFile(path, 'utf8').catch(() => undefined)
  if (kept !== undefined && kept.trim() !== '') return { text: kept.trim(), from: 'file', path }
  const text = `moor_${randomBytes(KEY_BYTES).toString('base64url')}`
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await writeFile(path, `${text}\n`, { mode: 0o600 })
  return { text, from: 'made', path }
}
