import { randomUUID } from 'node:crypto'
import { systemClock } from '#shared/clock.ts'
import { openGoogleStores, type GoogleOptions } from '#shared/google/open.ts'
import { systemRandom } from '#shared/random.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Subject } from '#test/contract/promises.ts'
import { startEmulator, whyNoEmulator, type Emulator } from './emulator.ts'
import { startKmsServer, type KmsServer } from './kms-server.ts'
import { startStorageServer, type StorageServer } from './storage-server.ts'

/** The emulator and both stand-ins: all of Google Cloud that Mooring uses, on loopback. */
export interface Cloud {
  emulator: Emulator
  storage: StorageServer
  kms: KmsServer
  close(): Promise<void>
}

export const KEY = 'projects/local/locations/global/keyRings/mooring/cryptoKeys/kek'
/** For tests only. Settings for both programs; one that is control alone sets the identity to nothing. */
export const INBOUND = {
  MOORING_INBOUND_IDENTITY: 'AGE-SECRET-KEY-1GUYN4MQJ0Y3GDMVWKXTPQUPJLH86YMX9QL7DDANNUSWZAADC88JQLFN3NQ',
  MOORING_INBOUND_RECIPIENT: 'age1w5e9atm0336xgqlj55hgmngv3qmslfs3l534pnunmmargnldq4xqpctsmh',
} as const
/** What bodies are sealed with. */
export const CONTENT_SECRET = 'for tests only and long enough for content'
/** What control marks API keys with. */
export const PEPPER = 'for tests only, and long enough for a pepper'

/**
 * Why the tests of the Google set are skipped here; absent when they can run. In continuous integration a machine that
 * has gcloud and Java runs them, and fails where the emulator does not come up.
 */
export const skipReason = whyNoEmulator()
if (skipReason !== undefined) console.log(`skipped, the stores of Google Cloud: ${skipReason}`)

export async function startCloud(): Promise<Cloud> {
  const [emulator, storage, kms] = await Promise.all([
    startEmulator(),
    startStorageServer(),
    startKmsServer(),
  ])
  return {
    emulator,
    storage,
    kms,
    close: async () => {
      await Promise.all([emulator.close(), storage.close(), kms.close()])
    },
  }
}

/** Settings for stores that nobody else uses: a namespace of their own, as against a real project. */
export function freshOptions(cloud: Cloud, more: Partial<GoogleOptions> = {}): GoogleOptions {
  cloud.storage.buckets.addBucket('mooring')
  return {
    project: 'local',
    database: '(default)',
    bucket: 'mooring',
    namespace: `test-${randomUUID()}`,
    kmsKey: KEY,
    firestoreEmulatorHost: cloud.emulator.host,
    storageEmulatorHost: cloud.storage.url,
    kmsEndpoint: cloud.kms.endpoint,
    clock: systemClock,
    random: systemRandom,
    ...more,
  }
}

/** The largest page of a scan, that of the owners, has 1,000 documents. */
const BEYOND_ONE_PAGE = 1030

export async function makeGoogle(options: GoogleOptions): Promise<Subject> {
  const clients = [await openGoogleStores(options)]
  return {
    stores: clients[0] as Stores,
    async reopen() {
      const client = await openGoogleStores(options)
      clients.push(client)
      return client
    },
    async close() {
      await Promise.all(clients.map((client) => client.close()))
    },
    beyondOnePage: BEYOND_ONE_PAGE,
  }
}
