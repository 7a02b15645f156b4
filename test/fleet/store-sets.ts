import { afterAll, beforeAll, describe } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import { openGoogleStores } from '#shared/google/open.ts'
import { systemRandom } from '#shared/random.ts'
import type { Stores } from '#shared/store/stores.ts'
import {
  CONTENT_SECRET,
  INBOUND,
  KEY,
  PEPPER,
  skipReason,
  startCloud,
  type Cloud,
} from '#test/cloud/google-subject.ts'

/** Where one fleet keeps everything: what its processes are told, and the same stores for a test that looks for itself. */
interface Place {
  readonly env: Readonly<Record<string, string>>
  open(): Promise<Stores>
}

/** One of the two sets of stores, with room for as many fleets as a file needs. */
export interface StoreSet {
  readonly name: 'embedded' | 'google'
  /** Of the Firestore emulator, for whoever puts a proxy in front of it. */
  readonly firestore: string
  /** Another fleet's place: empty, and nobody else's. */
  place(dataDir: string): Place
}

/** The same tests on both sets; that of Google is skipped, with the reason printed, where the emulator can't be had. */
export function describeEachSet(tests: (name: StoreSet['name']) => void): void {
  describe('embedded', () => {
    tests('embedded')
  })
  describe.skipIf(skipReason !== undefined)('google', () => {
    tests('google')
  })
}

const BUCKET = 'mooring'
/** A cold JVM. */
const CLOUD_WITHIN_MS = 90_000

/** Brings up, for the tests of one `describe`, what the set needs beside a folder. */
export function useStoreSet(name: StoreSet['name']): StoreSet {
  let cloud: Cloud | undefined
  let projects = 0
  const running = (): Cloud => {
    if (!cloud) throw new Error('the cloud is there from beforeAll on')
    return cloud
  }
  if (name === 'google') {
    beforeAll(async () => {
      cloud = await startCloud()
      cloud.storage.buckets.addBucket(BUCKET)
    }, CLOUD_WITHIN_MS)
    afterAll(() => cloud?.close())
  }
  return {
    name,
    get firestore() {
      return running().emulator.host
    },
    place(dataDir) {
      if (name === 'embedded') {
        const deps = { clock: systemClock, random: systemRandom }
        return { env: {}, open: () => openEmbeddedStores({ dataDir: dataDir, ...deps }) }
      }
      return placeIn(running(), `fleet-${systemRandom.id().toLowerCase()}-${++projects}`)
    },
  }
}

/** Every project exists in the emulator, and is empty. */
function placeIn({ emulator, storage, kms }: Cloud, project: string): Place {
  const open = (): Promise<Stores> =>
    openGoogleStores({
      project,
      database: '(default)',
      bucket: BUCKET,
      kmsKey: KEY,
      firestoreEmulatorHost: emulator.host,
      storageEmulatorHost: storage.url,
      kmsEndpoint: kms.endpoint,
      clock: systemClock,
      random: systemRandom,
    })
  const env = {
    MOORING_STORE: 'google',
    GOOGLE_CLOUD_PROJECT: project,
    MOORING_BUCKET: BUCKET,
    MOORING_KMS_KEY: KEY,
    MOORING_KEY_PEPPER: PEPPER,
    MOORING_CONTENT_SECRET: CONTENT_SECRET,
    ...INBOUND,
    MOORING_KMS_ENDPOINT: kms.endpoint,
    FIRESTORE_EMULATOR_HOST: emulator.host,
    STORAGE_EMULATOR_HOST: storage.url,
    METADATA_SERVER_DETECTION: 'none',
  }
  return { env, open }
}
