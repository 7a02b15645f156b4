import { randomUUID } from 'node:crypto'
import { CONTENT_SECRET, INBOUND, KEY, PEPPER, type Cloud } from './google-subject.ts'

/** The settings of a Mooring on this cloud. Another `name` is another installation: a database and a bucket of its own. */
export function cloudEnvironment(
  cloud: Cloud,
  name: string = `m${randomUUID().slice(0, 8)}`,
): Record<string, string> {
  cloud.storage.buckets.addBucket(name)
  return {
    MOORING_STORE: 'google',
    GOOGLE_CLOUD_PROJECT: 'local',
    MOORING_FIRESTORE_DATABASE: name,
    MOORING_BUCKET: name,
    MOORING_KMS_KEY: KEY,
    MOORING_KEY_PEPPER: PEPPER,
    MOORING_CONTENT_SECRET: CONTENT_SECRET,
    ...INBOUND,
    MOORING_KMS_ENDPOINT: cloud.kms.endpoint,
    FIRESTORE_EMULATOR_HOST: cloud.emulator.host,
    STORAGE_EMULATOR_HOST: cloud.storage.url,
    METADATA_SERVER_DETECTION: 'none',
  }
}
