import { expect, test } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { openGoogleStores } from '#shared/google/open.ts'
import { GRPC } from '#shared/google/vendor-error.ts'
import { systemRandom } from '#shared/random.ts'
import type { CheckScope } from '#shared/store/stores.ts'
import { startKmsServer } from './kms-server.ts'
import { startRefusingFirestore } from './refusing-firestore.ts'
import { startStorageServer } from './storage-server.ts'

const PROJECT = 'harbour'
const BUCKET = 'harbour-snapshots'
const KEY = 'projects/harbour/locations/eu/keyRings/mooring/cryptoKeys/kek'
const NAMES = {
  project: PROJECT,
  database: 'mooring',
  bucket: BUCKET,
  kmsKey: KEY,
  clock: systemClock,
  random: systemRandom,
}

/** The whole of Google Cloud in order (Firestore answers with an empty list), but for what the test spoils. */
async function check(
  spoilt: {
    firestore?: [code: number, details: string]
    forbidden?: boolean
    buckets?: string[]
    missingKeys?: string[]
    kms?: { code: number; details: string }
  },
  scope?: CheckScope,
): Promise<unknown> {
  const firestore = await startRefusingFirestore(...(spoilt.firestore ?? [0, '']))
  const storage = await startStorageServer({ buckets: spoilt.buckets ?? [BUCKET] })
  const kms = await startKmsServer({ missing: spoilt.missingKeys ?? [] })
  if (spoilt.forbidden === true) storage.buckets.forbid(BUCKET)
  if (spoilt.kms) kms.refuse({ ...spoilt.kms, times: 100 })
  const stores = await openGoogleStores({
    ...NAMES,
    firestoreEmulatorHost: firestore.host,
    storageEmulatorHost: storage.url,
    kmsEndpoint: kms.endpoint,
  })
  const found: unknown = await stores.check(scope).catch((error: unknown) => error)
  await stores.close()
  await Promise.all([firestore.close(), storage.close(), kms.close()])
  return found
}

const missingDatabase = 'The database mooring does not exist for project harbour Please visit https://console'
const rows: readonly [says: string, spoilt: Parameters<typeof check>[0], code: string, message: RegExp][] = [
  [
    'names a Firestore database that does not exist',
    { firestore: [GRPC.notFound, missingDatabase] },
    'config',
    /no Firestore database "mooring" in project "harbour".*MOORING_FIRESTORE_DATABASE/,
  ],
  [
    'names the role that Firestore asks for',
    { firestore: [GRPC.permissionDenied, 'Missing or insufficient permissions.'] },
    'config',
    /Firestore refuses.*roles\/datastore\.user/,
  ],
  [
    'names a bucket that does not exist',
    { buckets: [] },
    'config',
    /no Cloud Storage bucket "harbour-snapshots"/,
  ],
  [
    'names the role that a bucket asks for',
    { forbidden: true },
    'config',
    /Cloud Storage refuses.*objectUser/,
  ],
  [
    'names a key that does not exist',
    { missingKeys: [KEY] },
    'config',
    /no Cloud KMS key "projects\/harbour.*kek"/,
  ],
  [
    'names the role that a key asks for',
    { kms: { code: GRPC.permissionDenied, details: "Permission 'useToEncrypt' denied" } },
    'config',
    /Cloud KMS refuses.*cryptoKeyEncrypterDecrypter/,
  ],
  [
    'does not take a disabled key for a mistake in the settings',
    { kms: { code: GRPC.failedPrecondition, details: 'key version is not enabled' } },
    'store_unavailable',
    /does not answer or is disabled/,
  ],
]

/** At once, because the client asks three times over some seven seconds before it believes a refusal. */
test.concurrent.for(rows)('%s', async ([, spoilt, code, message], { expect }) => {
  const error = (await check(spoilt)) as Error & { code: string }
  expect(error).toMatchObject({ code })
  expect(error.message).toMatch(message)
  expect(error.message.split('\n')).toHaveLength(1)
})

test('finds nothing wrong where nothing is', async () => {
  expect(await check({})).toBeUndefined()
})

test('asks Firestore alone where only the records are asked for', async () => {
  expect(await check({ buckets: [], missingKeys: [KEY] }, 'records')).toBeUndefined()
  const firestore: [number, string] = [GRPC.notFound, missingDatabase]
  expect(await check({ firestore }, 'records')).toMatchObject({ code: 'config' })
})

test('looks in the bucket only where control may look too', async () => {
  const storage = await startStorageServer({ buckets: [BUCKET] })
  const firestore = await startRefusingFirestore(0, '')
  const kms = await startKmsServer()
  const stores = await openGoogleStores({
    ...NAMES,
    firestoreEmulatorHost: firestore.host,
    storageEmulatorHost: storage.url,
    kmsEndpoint: kms.endpoint,
  })
  await stores.check()
  await stores.close()
  await Promise.all([firestore.close(), storage.close(), kms.close()])
  expect(storage.requests).toHaveLength(1)
  expect(storage.requests[0]).toContain('prefix=imports')
})
