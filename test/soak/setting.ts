/** Which set of stores a soak runs on. */
export const STORES = ['embedded', 'google'] as const
export type StoreName = (typeof STORES)[number]

interface Setting extends AsyncDisposable {
  /** What every process under test is told. */
  readonly env: Readonly<Record<string, string>>
}

/**
 * Nothing proves a killed process dead to the others on Google Cloud, so its lease must run out; with the times of
 * production every kill would cost ten seconds.
 */
const SHORT_LEASE = {
  MOORING_RENEW_EVERY_MS: '300',
  MOORING_RENEW_WITHIN_MS: '900',
  MOORING_LEASE_FOR_MS: '1500',
}

/** @throws Error where the Firestore emulator can't be had */
export async function openSetting(store: StoreName): Promise<Setting> {
  if (store === 'embedded') return { env: {}, [Symbol.asyncDispose]: () => Promise.resolve() }
  // Only now: it says on loading whether there is an emulator.
  const { CONTENT_SECRET, INBOUND, KEY, PEPPER, skipReason, startCloud } =
    await import('../cloud/google-subject.ts')
  if (skipReason !== undefined) throw new Error(skipReason)
  const cloud = await startCloud()
  cloud.storage.buckets.addBucket('mooring')
  const env = {
    ...SHORT_LEASE,
    MOORING_STORE: 'google',
    GOOGLE_CLOUD_PROJECT: 'local',
    MOORING_BUCKET: 'mooring',
    MOORING_KMS_KEY: KEY,
    MOORING_KEY_PEPPER: PEPPER,
    MOORING_CONTENT_SECRET: CONTENT_SECRET,
    ...INBOUND,
    MOORING_KMS_ENDPOINT: cloud.kms.endpoint,
    FIRESTORE_EMULATOR_HOST: cloud.emulator.host,
    STORAGE_EMULATOR_HOST: cloud.storage.url,
    METADATA_SERVER_DETECTION: 'none',
  }
  return { env, [Symbol.asyncDispose]: () => cloud.close() }
}
