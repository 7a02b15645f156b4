/**
 * Who is given what, read from a plan of infra/: five accounts, and for each the whole list of its rights, as docs/security.md
 * tells them. A right that is added anywhere shows up here.
 */

import { expect, test } from 'vitest'
import { plansOf, withoutTerraform, type Planned } from './mocked-plan.ts'

const values = {
  small: 'project = "my-project"',
  whole: `
    project        = "my-project"
    control_access = "iam"
    repository     = "projects/my-project/locations/europe-west1/connections/github/repositories/mooring"
    state_bucket   = "my-project-terraform"
  `,
}

/** Made once for all tests here. */
let made: Promise<Record<keyof typeof values, Planned[]>> | undefined
const plans = (): NonNullable<typeof made> => (made ??= plansOf(values))

/** What an account is given, as "role on what (only where)". */
async function rightsOf(account: string): Promise<string[]> {
  const { whole } = await plans()
  return whole
    .filter(({ type, values: { member } }) => type.endsWith('_iam_member') && member === account)
    .map(({ type, values: grant }) => {
      const on = [
        'secret_id',
        'bucket',
        'repository',
        'name',
        'service_account_id',
        'crypto_key_id',
        'project',
      ]
        .map((name) => grant[name])
        .find((value) => typeof value === 'string')
      const [condition] = grant['condition'] as { title: string }[]
      const what = type.replace(/^google_/, '').replace(/_iam_member$/, '')
      return `${String(grant['role'])} on ${what} ${on}${condition === undefined ? '' : ` (${condition.title})`}`
    })
    .toSorted()
}

test.skipIf(withoutTerraform)(
  'F4: lets control read its three secrets, and carry imports and exports; it has no use of the key',
  async () => {
    expect(await rightsOf('control')).toEqual([
      'roles/datastore.user on project my-project (only the database mooring)',
      'roles/secretmanager.secretAccessor on secret_manager_secret mooring-bootstrap-key',
      'roles/secretmanager.secretAccessor on secret_manager_secret mooring-content-secret',
      'roles/secretmanager.secretAccessor on secret_manager_secret mooring-key-pepper',
      'roles/storage.objectUser on storage_bucket my-project-mooring-snapshots (imports and exports only)',
    ])
  },
)

test.skipIf(withoutTerraform)('lets the runner seal and open, and read its two secrets', async () => {
  expect(await rightsOf('runner')).toEqual([
    'roles/cloudkms.cryptoKeyDecrypter on kms_crypto_key sessions',
    'roles/cloudkms.cryptoKeyEncrypter on kms_crypto_key sessions',
    'roles/datastore.user on project my-project (only the database mooring)',
    'roles/secretmanager.secretAccessor on secret_manager_secret mooring-content-secret',
    'roles/secretmanager.secretAccessor on secret_manager_secret mooring-inbound-identity',
    'roles/storage.objectUser on storage_bucket my-project-mooring-snapshots',
  ])
})

test.skipIf(withoutTerraform)(
  'lets the build push an image, read its source, and do nothing else',
  async () => {
    expect(await rightsOf('builder')).toEqual([
      'roles/artifactregistry.writer on artifact_registry_repository mooring',
      'roles/logging.logWriter on project my-project',
      'roles/storage.objectViewer on storage_bucket my-project-mooring-builds',
    ])
  },
)

test.skipIf(withoutTerraform)(
  'lets the deploy start images as both programs, call control, and change no image and no data',
  async () => {
    expect(await rightsOf('deployer')).toEqual([
      'roles/artifactregistry.reader on artifact_registry_repository mooring',
      'roles/iam.serviceAccountUser on service_account control',
      'roles/iam.serviceAccountUser on service_account runner',
      'roles/logging.logWriter on project my-project',
      'roles/run.developer on project my-project',
      'roles/run.invoker on cloud_run_v2_service mooring-control',
    ])
  },
)

test.skipIf(withoutTerraform)(
  'gives nobody but these accounts anything, and nothing to everybody',
  async () => {
    const { small, whole } = await plans()
    const members = [...small, ...whole].flatMap(({ type, values: { member } }) =>
      type.endsWith('_iam_member') ? [member] : [],
    )
    expect(new Set(members)).toEqual(new Set(['control', 'runner', 'builder', 'deployer', 'terraform']))
    const types = [...small, ...whole].map(({ type }) => type)
    expect(types.filter((type) => /_iam_(binding|policy)$/.test(type))).toEqual([])
  },
)

test.skipIf(withoutTerraform)(
  'shows control, of the bucket, what is under imports/ and exports/',
  async () => {
    const { small } = await plans()
    const transfers = small.find(({ address }) => address.endsWith('.control_transfers'))
    const [condition] = (transfers?.values['condition'] ?? []) as { expression: string }[]
    const objects = 'resource.name.startsWith("projects/_/buckets/my-project-mooring-snapshots/objects/'
    const named = condition?.expression.split(' || ').filter((term) => term.startsWith(objects))
    expect(named).toEqual([`${objects}imports/")`, `${objects}exports/")`])
  },
)

test.skipIf(withoutTerraform)(
  'gives the admin key and the pepper to control, from Secret Manager, and to nothing else',
  async () => {
    const { small } = await plans()
    const told = (type: string): string =>
      JSON.stringify(small.filter((resource) => resource.type === type).map((resource) => resource.values))
    for (const [setting, secret] of [
      ['MOORING_ADMIN_KEY', 'mooring-bootstrap-key'],
      ['MOORING_KEY_PEPPER', 'mooring-key-pepper'],
    ]) {
      const fromSecret = new RegExp(
        `"${setting}"[^{}]*"value_source":\\[\\{"secret_key_ref":\\[\\{"secret":"${secret}"`,
      )
      expect(told('google_cloud_run_v2_service')).toMatch(fromSecret)
      expect(told('google_cloud_run_v2_worker_pool')).not.toContain(setting)
      const readers = small.filter(
        ({ type, values: { secret_id } }) =>
          type === 'google_secret_manager_secret_iam_member' && secret_id === secret,
      )
      expect(readers.map(({ values: { member } }) => member)).toEqual(['control'])
    }
  },
)

test.skipIf(withoutTerraform)(
  'writes down every use of the keys and secrets, and every touch of the database that is not the programs’ own',
  async () => {
    const { small } = await plans()
    const audited = small
      .filter(({ type }) => type === 'google_project_iam_audit_config')
      .map(({ values: { service, audit_log_config } }) => [
        service,
        (audit_log_config as { log_type: string; exempted_members: string[] }[]).map(
          ({ log_type, exempted_members }) =>
            `${log_type} but of [${exempted_members.toSorted().join(', ')}]`,
        ),
      ])
    expect(Object.fromEntries(audited)).toEqual({
      'cloudkms.googleapis.com': ['DATA_READ but of []', 'DATA_WRITE but of []'],
      'secretmanager.googleapis.com': ['DATA_READ but of []', 'DATA_WRITE but of []'],
      'datastore.googleapis.com': [
        'DATA_READ but of [control, runner]',
        'DATA_WRITE but of [control, runner]',
      ],
    })
  },
)
