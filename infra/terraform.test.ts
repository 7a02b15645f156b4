/**
 * What can be known about infra/*.tf without a cloud: each file parses, each name is one that the provider knows, each
 * reference leads somewhere, and nobody was given more than docs/security.md says.
 */

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  asBody,
  asList,
  labelled,
  localsOf,
  parseHcl,
  problemsOf,
  readSchema,
  readTerraform,
  referencesIn,
  resourcesOf,
} from './hcl.ts'

const folder = import.meta.dirname
const docs = join(folder, '..', 'docs')
const files = await readTerraform(folder)
const resources = resourcesOf(files)
const schema = readSchema()

test('knows every resource type, argument and block that is written', () => {
  const problems = resources.flatMap(({ file, type, name, body }) => {
    const known = schema[type]
    const where = `${file}: ${type}.${name}`
    return known === undefined ? [`${where} is of an unknown type`] : problemsOf(where, body, known)
  })
  expect(problems).toEqual([])
})

test('notices an argument that does not exist, one that is missing, and a block written twice', async () => {
  const wrong = await parseHcl(
    'wrong.tf',
    `resource "google_cloud_run_v2_worker_pool" "wrong" {
      location = "here"
      timeout  = "10s"
      template { 
        containers { 
          image = 7
          ports { 
            container_port = 1 
          } 
        } 
      }
      scaling {}
      scaling {}
    }`,
  )
  const [pool] = resourcesOf(new Map([['wrong.tf', wrong]]))
  const known = schema['google_cloud_run_v2_worker_pool']
  expect(pool !== undefined && known !== undefined && problemsOf('pool', pool.body, known)).toEqual([
    'pool misses name',
    'pool.scaling may be written once only',
    'pool.template.containers.image must be a string',
    'pool.template.containers has no argument ports',
    'pool has no argument timeout',
  ])
})

test('resolves every reference', () => {
  const variables = labelled(files, 'variable')
  const locals = new Set(localsOf(files))
  const dangling = [...files].flatMap(([file, parsed]) =>
    referencesIn(parsed).flatMap((reference) => {
      const [root = '', name = '', attribute] = reference.replaceAll(/\[[^\]]*\]/g, '').split('.')
      if (root === 'each' || root === 'count') return []
      if (root === 'var') return variables.has(name) ? [] : [`${file}: ${reference}`]
      if (root === 'local') return locals.has(name) ? [] : [`${file}: ${reference}`]
      const exists = resources.some((resource) => resource.type === root && resource.name === name)
      const exported = attribute === undefined || schema[root]?.exports.includes(attribute)
      return exists && exported === true ? [] : [`${file}: ${reference}`]
    }),
  )
  expect(dangling).toEqual([])
})

test('has no variable and no local that nothing uses', () => {
  const used = new Set(
    [...files.values()]
      .flatMap((parsed) => referencesIn(parsed))
      .map((each) => each.split(/[.[]/).slice(0, 2).join('.')),
  )
  const validated = labelled(files, 'variable')
  const onlyValidated = [...validated.keys()].filter((name) => {
    const elsewhere = [...files]
      .filter(([file]) => file !== 'variables.tf')
      .flatMap(([, parsed]) => referencesIn(parsed))
    return !elsewhere.some((reference) => reference.startsWith(`var.${name}`))
  })
  // The state bucket and the first image are used; a variable that only validates itself would be a lie.
  expect(onlyValidated).toEqual([])
  expect(localsOf(files).filter((name) => !used.has(`local.${name}`))).toEqual([])
})

test('describes every variable and output, and says in a sentence what a bad value should be', () => {
  const sentence = /^(The|Each|At|A) [\s\S]+\.$/
  const problems = [...labelled(files, 'variable')].flatMap(([name, variable]) => {
    const rules = asList(variable['validation']).map((rule) => String(asBody(rule)['error_message']))
    const described = /^[A-Z][\s\S]+\.$/.test(String(variable['description']))
    const ruled = variable['type'] === '${bool}' || rules.length > 0
    return described && ruled && rules.every((rule) => sentence.test(rule)) ? [] : [name]
  })
  expect(problems).toEqual([])
  const outputs = [...labelled(files, 'output')].map(([, output]) => String(output['description']))
  expect(outputs.filter((description) => !/^[A-Z].+\.$/.test(description))).toEqual([])
})

test('pins the provider to one major version and its own state to a bucket', () => {
  const terraform = asBody(asList(files.get('versions.tf')?.['terraform'])[0])
  expect(terraform['required_version']).toBe('>= 1.11')
  expect(JSON.stringify(terraform['required_providers'])).toContain('"~> 7.45"')
  expect(Object.keys(asBody(terraform['backend']))).toEqual(['gcs'])
})

test('protects what can not be made again', () => {
  const guarded = ['google_firestore_database', 'google_kms_crypto_key', 'google_kms_key_ring']
  for (const type of guarded) expect({ type, ...lifecycleOf(type) }).toEqual({ type, prevent_destroy: true })
  const snapshots = resources.find(
    ({ type, name }) => type === 'google_storage_bucket' && name === 'snapshots',
  )
  expect(snapshots?.body).toMatchObject({
    force_destroy: false,
    uniform_bucket_level_access: true,
    public_access_prevention: 'enforced',
    lifecycle: [{ prevent_destroy: true }],
  })
  expect(resources.find(({ type }) => type === 'google_firestore_database')?.body).toMatchObject({
    point_in_time_recovery_enablement: 'POINT_IN_TIME_RECOVERY_ENABLED',
    delete_protection_state: 'DELETE_PROTECTION_ENABLED',
    deletion_policy: 'ABANDON',
  })
})

test('leaves the image and the moving of revisions to the pipeline', () => {
  const image = '${template[0].containers[0].image}'
  expect(lifecycleOf('google_cloud_run_v2_service')['ignore_changes']).toEqual(
    expect.arrayContaining([image, '${traffic}']),
  )
  expect(lifecycleOf('google_cloud_run_v2_worker_pool')['ignore_changes']).toEqual(
    expect.arrayContaining([image, '${instance_splits}']),
  )
})

test('gives each account what it needs and nothing else', () => {
  const grants = resources
    .filter(({ type }) => type.endsWith('_iam_member'))
    .map((grant) => {
      const held = JSON.stringify(grant.body)
      const accounts = [...held.matchAll(/google_service_account\.(\w+)(?:\[0\])?\.member/g)].map(
        ([, account]) => account,
      )
      return { role: String(grant.body['role']), on: grant.type.replace('_iam_member', ''), accounts }
    })
  const of = (account: string) =>
    grants
      .filter(({ accounts }) => accounts.includes(account))
      .map(({ role, on }) => `${role} on ${on}`)
      .toSorted()

  expect(of('control')).toEqual([
    'roles/cloudkms.cryptoKeyEncrypter on google_kms_crypto_key',
    'roles/datastore.user on google_project',
    'roles/secretmanager.secretAccessor on google_secret_manager_secret',
    'roles/secretmanager.secretAccessor on google_secret_manager_secret',
    'roles/storage.objectUser on google_storage_bucket',
  ])
  // Imports and exports, not the snapshots beside them.
  const transfers = resources.find(({ name }) => name === 'control_transfers')
  expect(JSON.stringify(transfers?.body['condition'])).toMatch(/imports\/.*exports\//)
  expect(of('runner')).toEqual([
    'roles/cloudkms.cryptoKeyDecrypter on google_kms_crypto_key',
    'roles/cloudkms.cryptoKeyEncrypter on google_kms_crypto_key',
    'roles/datastore.user on google_project',
    'roles/storage.objectUser on google_storage_bucket',
  ])
  expect(of('deployer')).toEqual([
    '${each.value} on google_project',
    'roles/artifactregistry.writer on google_artifact_registry_repository',
    'roles/iam.serviceAccountUser on google_service_account',
    'roles/run.invoker on google_cloud_run_v2_service',
    'roles/storage.objectViewer on google_storage_bucket',
  ])
  const database = resources.find(
    ({ type, name }) => type === 'google_project_iam_member' && name === 'database',
  )
  // The role itself is for the whole project; the condition binds it to one database.
  expect(database?.body['condition']).toBeDefined()
  expect(JSON.stringify([...files.values()])).not.toMatch(
    /allUsers"|allAuthenticatedUsers|roles\/(owner|editor)"/,
  )
})

test('gives the admin key and the pepper to control, from Secret Manager, and to nothing else', () => {
  const told = new Map(
    resources
      .filter(({ type }) => type.startsWith('google_cloud_run_v2_'))
      .map(({ type, body }) => [type, JSON.stringify(body)]),
  )
  for (const [setting, secret] of [
    ['MOORING_ADMIN_KEY', 'bootstrap'],
    ['MOORING_KEY_PEPPER', 'pepper'],
  ]) {
    const inControl = new RegExp(`"${setting}".{0,80}"secret_key_ref".{0,80}secret\\.${secret}\\.secret_id`)
    expect(told.get('google_cloud_run_v2_service')).toMatch(inControl)
    expect(told.get('google_cloud_run_v2_worker_pool')).not.toContain(setting)
    expect(files.get('settings.tf')).toBeDefined()
    expect(JSON.stringify(files.get('settings.tf'))).not.toContain(setting)
    const readers = resources.filter(
      ({ type, body }) =>
        type === 'google_secret_manager_secret_iam_member' &&
        String(body['secret_id']).includes(`secret.${secret}.`),
    )
    expect(readers.map(({ body }) => body['member'])).toEqual(['${google_service_account.control.member}'])
  }
})

test('lists Firestore indexes and fields in the official format', () => {
  const list = JSON.parse(readFileSync(join(folder, 'firestore.indexes.json'), 'utf8')) as Record<
    string,
    unknown
  >
  expect(Object.keys(list).toSorted()).toEqual(['fieldOverrides', 'indexes'])
  for (const index of asList(list['indexes'])) {
    expect(index).toMatchObject({ collectionGroup: expect.any(String), fields: expect.any(Array) })
  }
  for (const field of asList(list['fieldOverrides'])) {
    expect(field).toMatchObject({
      collectionGroup: expect.any(String),
      fieldPath: expect.any(String),
      indexes: expect.any(Array),
    })
  }
  const overrides = asList(list['fieldOverrides']).map(asBody)
  const expiring = overrides
    .filter((field) => field['ttl'] === true)
    .map((field) => `${String(field['collectionGroup'])}.${String(field['fieldPath'])}`)
  expect(expiring).toEqual(
    expect.arrayContaining(['events.expireAt', 'feedHeads.expireAt', 'signals.expireAt']),
  )
})

test('names only outputs, variables and blocks in the documents that exist', async () => {
  const outputs = labelled(files, 'output')
  for (const document of readdirSync(docs).filter((file) => file.endsWith('.md'))) {
    const text = readFileSync(join(docs, document), 'utf8')
    for (const [, name = ''] of text.matchAll(/terraform (?:-chdir=infra )?output(?: -raw)? (\w+)/g)) {
      expect([...outputs.keys()]).toContain(name)
    }
    for (const [, example = ''] of text.matchAll(/```hcl\n([\s\S]*?)```/g)) {
      const written = resourcesOf(new Map([[document, await parseHcl(document, example)]]))
      for (const { type, name, body } of written) {
        const known = schema[type]
        expect(
          known === undefined ? [type] : problemsOf(`${document}: ${type}.${name}`, body, known),
        ).toEqual([])
      }
    }
  }
})

function lifecycleOf(type: string): Record<string, unknown> {
  const resource = resources.find((each) => each.type === type)
  return asBody(asList(resource?.body['lifecycle'])[0])
}
