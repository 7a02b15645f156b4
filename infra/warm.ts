import { flushCompileCache } from 'node:module'
import { systemClock } from '#shared/clock.ts'
import { openGoogleStores } from '#shared/google/open.ts'
import { systemRandom } from '#shared/random.ts'

/*
 * Loads all that any role loads, so that Node's compile cache (NODE_COMPILE_CACHE) has it: the image is built with this, and
 * each new instance would else compile some 700 modules before its first answer. It starts nothing and asks nobody.
 */

const NOBODY = '127.0.0.1:9'
const CALL_TIMEOUT_MS = 500

await Promise.all([import('#cli/usage.ts'), import('#cli/start.ts'), import('#cli/doctor.ts')])
await import('#shared/embedded/open.ts')
await Promise.all([
  import('#control/main.ts'),
  import('#runner/probes/start-probes.ts'),
  import('#runner/main.ts'),
])
await Promise.all([import('@google-cloud/kms'), import('@google-cloud/storage')])
// The Firestore client loads most of itself with its first call; that nobody answers it does not matter.
const stores = await openGoogleStores({
  project: 'none',
  database: 'none',
  bucket: 'none',
  kmsKey: 'none',
  firestoreEmulatorHost: NOBODY,
  storageEmulatorHost: NOBODY,
  kmsEndpoint: NOBODY,
  clock: systemClock,
  random: systemRandom,
  callTimeoutMs: CALL_TIMEOUT_MS,
})
await stores.check('records').catch(() => undefined)
flushCompileCache()
process.exit()
