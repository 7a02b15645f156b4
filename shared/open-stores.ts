import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import { CodedError } from './errors.ts'
import type { Meter } from './google/meter.ts'
import type { Random } from './random.ts'
import type { Stores } from './store/stores.ts'

/**
 * The set of stores that the settings name. Neither set is loaded for the other's sake: the Google clients take a while.
 * `onBroken` is told of embedded stores that can't go on.
 */
export async function openStores(
  config: Config,
  deps: { clock: Clock; random: Random; meter?: Meter; onBroken?: (error: Error) => void },
): Promise<Stores> {
  if (config.MOORING_STORE === 'embedded') {
    const { openEmbeddedStores } = await import('./embedded/open.ts')
    return openEmbeddedStores({
      dataDir: config.MOORING_DATA_DIR,
      ...deps,
      ...(config.MOORING_KEY === undefined ? {} : { keyText: config.MOORING_KEY }),
    })
  }
  const { openGoogleStores } = await import('./google/open.ts')
  return openGoogleStores({
    project: needed(config, 'GOOGLE_CLOUD_PROJECT'),
    database: config.MOORING_FIRESTORE_DATABASE,
    bucket: needed(config, 'MOORING_BUCKET'),
    // Also where somebody set one: control has no use for it (docs/security.md).
    kmsKey: config.MOORING_ROLE === 'control' ? undefined : needed(config, 'MOORING_KMS_KEY'),
    firestoreEmulatorHost: config.FIRESTORE_EMULATOR_HOST,
    storageEmulatorHost: config.STORAGE_EMULATOR_HOST,
    kmsEndpoint: config.MOORING_KMS_ENDPOINT,
    ...deps,
  })
}

/** `readConfig` refuses a Google set without these; this says so to the type checker. */
function needed(config: Config, name: 'GOOGLE_CLOUD_PROJECT' | 'MOORING_BUCKET' | 'MOORING_KMS_KEY'): string {
  const value = config[name]
  if (value === undefined) throw new CodedError('config', `${name} is needed when MOORING_STORE is google`)
  return value
}
