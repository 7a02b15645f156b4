import type { Config } from './config.ts'
import { storedKeys } from './embedded/key-material.ts'
import { CodedError } from './errors.ts'
import type { AgeIdentity } from './sealing/age-identity.ts'

/** Who may open what goes in and out (docs/design/tenants.md §6.10). */
export interface TransferSettings {
  /** What control and clients seal for, so that only runners can open it. */
  recipient: () => Promise<string>
  /** Of the runners, newest first; control has none. @throws CodedError `config` where there is none */
  identities: () => Promise<readonly AgeIdentity[]>
  exports: ExportRule
}

/** Under a passphrase that came over HTTP, or for people whom the operator named to the runners. */
type ExportRule = { to: 'passphrase' } | { to: 'recipients'; recipients: readonly string[] }

/**
 * What the settings say of it. On the Google set everything is named, and is read at once; on one machine the identity
 * follows from its key, which takes a moment and is seldom needed.
 * @throws CodedError `config`
 */
export async function transferSettings(config: Config): Promise<TransferSettings> {
  const { MOORING_INBOUND_IDENTITY: secret, MOORING_INBOUND_RECIPIENT: shown } = config
  const isGoogle = config.MOORING_STORE === 'google'
  if (isGoogle && config.MOORING_ROLE !== 'control' && secret === undefined)
    throw new CodedError(
      'config',
      'MOORING_INBOUND_IDENTITY is needed by runners when MOORING_STORE is google',
    )
  if (isGoogle && config.MOORING_ROLE === 'control' && shown === undefined)
    throw new CodedError(
      'config',
      'MOORING_INBOUND_RECIPIENT is needed by control when MOORING_STORE is google',
    )
  const { readAgeIdentity, readAgeRecipients, deriveAgeIdentity } = await import('./sealing/age-identity.ts')
  const named =
    secret === undefined
      ? undefined
      : await Promise.all(secret.split(',').map((text) => readAgeIdentity(text)))
  if (shown !== undefined) readAgeRecipients(shown)
  if (named && shown !== undefined && !named.some(({ recipient }) => recipient === shown))
    throw new CodedError(
      'config',
      'MOORING_INBOUND_RECIPIENT is not the recipient of MOORING_INBOUND_IDENTITY',
    )
  let derived: Promise<readonly AgeIdentity[]> | undefined
  const identities = (): Promise<readonly AgeIdentity[]> => {
    if (named) return Promise.resolve(named)
    if (isGoogle)
      throw new CodedError('config', 'this process has no identity that opens what is sealed for runners')
    derived ??= storedKeys(config.MOORING_DATA_DIR, config.MOORING_KEY).then((keys) =>
      Promise.all(keys.map(({ bytes }) => deriveAgeIdentity(bytes, 'inbound'))),
    )
    return derived
  }
  return {
    identities,
    async recipient() {
      if (shown !== undefined) return shown
      const [newest] = await identities()
      if (!newest) throw new CodedError('config', 'there is no key to seal for')
      return newest.recipient
    },
    exports: exportRule(config, readAgeRecipients),
  }
}

function exportRule(config: Config, read: (text: string) => string[]): ExportRule {
  const { MOORING_EXPORT_RECIPIENTS: text, MOORING_STORE: store } = config
  const to = config.MOORING_EXPORT ?? (store === 'google' || text !== undefined ? 'recipients' : 'passphrase')
  return to === 'passphrase' ? { to } : { to, recipients: text === undefined ? [] : read(text) }
}
