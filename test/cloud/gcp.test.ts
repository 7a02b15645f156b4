/**
 * The same contract against a real project; `npm run test:gcp` with the credentials of the environment and
 *
 *   MOORING_TEST_GCP_PROJECT   the project
 *   MOORING_TEST_GCP_DATABASE  a Firestore database with the indexes of infra/firestore.indexes.json
 *   MOORING_TEST_GCP_BUCKET    a bucket
 *   MOORING_TEST_GCP_KEY       projects/…/locations/…/keyRings/…/cryptoKeys/…
 *
 * Every test works under a namespace of its own and removes it. One run makes some 10,000 billed operations, a cent or so.
 * A database or bucket in use is not disturbed, but a separate one is wiser.
 */
import { randomUUID } from 'node:crypto'
import { Firestore } from '@google-cloud/firestore'
import { Storage } from '@google-cloud/storage'
import { test, vi } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { systemRandom } from '#shared/random.ts'
import { allContracts } from '#test/contract/all.ts'
import type { Subject } from '#test/contract/promises.ts'
import { makeGoogle } from './google-subject.ts'

/** Every call takes a way through the internet, and one promise makes a thousand of them. */
vi.setConfig({ testTimeout: 300_000 })

const {
  MOORING_TEST_GCP_PROJECT: project = '',
  MOORING_TEST_GCP_DATABASE: database = '(default)',
  MOORING_TEST_GCP_BUCKET: bucket = '',
  MOORING_TEST_GCP_KEY: kmsKey = '',
} = process.env

async function make(): Promise<Subject> {
  const namespace = `test-${randomUUID()}`
  const names = { project, database, bucket, kmsKey, namespace }
  const subject = await makeGoogle({ ...names, clock: systemClock, random: systemRandom })
  return {
    ...subject,
    async close() {
      await subject.close()
      const firestore = new Firestore({ projectId: project, databaseId: database })
      await firestore.recursiveDelete(firestore.doc(`namespaces/${namespace}`))
      await firestore.terminate()
      await new Storage({ projectId: project }).bucket(bucket).deleteFiles({ prefix: `${namespace}/` })
    },
  }
}

const isAsked = project !== ''
test.skipIf(isAsked)('keeps the contract (skipped: MOORING_TEST_GCP_PROJECT is not set)', (context) =>
  context.skip(),
)
for (const run of isAsked ? [allContracts] : []) run(make)
