import type { Bucket } from '@google-cloud/storage'
import { CodedError, toError } from '../errors.ts'
import type { KeyWrapper } from '../store/key-wrapper.ts'
import type { CheckScope } from '../store/stores.ts'
import type { Database } from './database.ts'
import { codeOf, GRPC, hasNoCredentials } from './vendor-error.ts'

/** What is asked of each of the three services, and what its refusals mean to the operator. */
interface Probe {
  ask: () => Promise<unknown>
  missing: string
  refused: string
  away: string
}

/** Control may look at imports and exports only (infra/iam.tf), so nothing else is asked for. */
const CHECKED = 'imports/'

const MISSING = new Set<number | undefined>([404, GRPC.notFound])
const REFUSED = new Set<number | undefined>([401, 403, GRPC.permissionDenied, GRPC.unauthenticated])

/** Asks services one cheap question each, so that what is wrong is said in words. The first is the one that has the records. */
export async function checkGoogle(options: {
  scope: CheckScope
  db: Database
  bucket: () => Promise<Bucket>
  keys: KeyWrapper
  names: { project: string; database: string; bucket: string; kmsKey: string | undefined }
}): Promise<void> {
  const { scope, db, bucket, keys, names } = options
  const probes: Probe[] = [
    {
      ask: () => db.query('check Firestore', db.collection('tenants').limit(1)),
      missing: `There is no Firestore database "${names.database}" in project "${names.project}"; create it or correct MOORING_FIRESTORE_DATABASE.`,
      refused: `Firestore refuses this service account; give it roles/datastore.user on project "${names.project}".`,
      away: `Firestore database "${names.database}" of project "${names.project}" does not answer.`,
    },
    {
      ask: () =>
        db.calls.within('check the bucket', async () =>
          (await bucket()).getFiles({ prefix: CHECKED, maxResults: 1, autoPaginate: false }),
        ),
      missing: `There is no Cloud Storage bucket "${names.bucket}"; create it or correct MOORING_BUCKET.`,
      refused: `Cloud Storage refuses this service account; give it roles/storage.objectUser on bucket "${names.bucket}".`,
      away: `Cloud Storage bucket "${names.bucket}" does not answer.`,
    },
  ]
  if (names.kmsKey !== undefined)
    probes.push({
      ask: () => keys.currentVersion(),
      missing: `There is no Cloud KMS key "${names.kmsKey}"; create it or correct MOORING_KMS_KEY.`,
      refused: `Cloud KMS refuses this service account; give it roles/cloudkms.cryptoKeyEncrypterDecrypter on "${names.kmsKey}".`,
      away: `Cloud KMS key "${names.kmsKey}" does not answer or is disabled.`,
    })
  for (const probe of scope === 'records' ? probes.slice(0, 1) : probes) {
    try {
      await probe.ask()
    } catch (error) {
      throw judge(error, probe)
    }
  }
}

function judge(thrown: unknown, probe: Probe): CodedError {
  const chain = causes(thrown)
  const code = chain.map(codeOf).find((found) => found !== undefined)
  if (chain.some(hasNoCredentials)) {
    const message =
      'No Google credentials were found; run with a service account or "gcloud auth application-default login".'
    return new CodedError('config', message, { cause: thrown })
  }
  if (MISSING.has(code)) return new CodedError('config', probe.missing, { cause: thrown })
  if (REFUSED.has(code)) return new CodedError('config', probe.refused, { cause: thrown })
  return new CodedError('store_unavailable', probe.away, { cause: thrown })
}

function causes(thrown: unknown): Error[] {
  const chain: Error[] = []
  for (let error: unknown = thrown; error !== undefined && error !== null;) {
    const next: Error = toError(error)
    if (chain.includes(next)) break
    chain.push(next)
    error = next.cause
  }
  return chain
}
