/**
 * What is written in infra/*.tf and shows in no plan: what each word is for, what is protected, what is left to the pipeline.
 * Whether Terraform takes it, and what it would make of it, is in plan.test.ts and access.test.ts.
 */

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { asBody, asList, labelled, localsOf, readTerraform, resourcesOf } from './hcl.ts'

const folder = import.meta.dirname
const docs = join(folder, '..', 'docs')
const files = await readTerraform(folder)
const resources = resourcesOf(files)

test('has no variable and no local that nothing uses', () => {
  const texts = [...files.keys()].map((file) => readFileSync(join(folder, file), 'utf8'))
  // A variable that only its own rules read would be a lie.
  const uses = texts
    .map((text) =>
      text.replaceAll(
        /^variable "\w+" \{[\s\S]*?^\}/gm,
        (block) => block.match(/local\.\w+/g)?.join(' ') ?? '',
      ),
    )
    .join('\n')
  const unused = [
    ...[...labelled(files, 'variable').keys()].map((name) => `var.${name}`),
    ...localsOf(files).map((name) => `local.${name}`),
  ].filter((name) => !new RegExp(`\\b${name.replace('.', '[.]')}\\b`).test(uses))
  expect(unused).toEqual([])
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

test('names only outputs in the documents that exist', () => {
  const outputs = [...labelled(files, 'output').keys()]
  const named = readdirSync(docs)
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) => [
      ...readFileSync(join(docs, file), 'utf8').matchAll(
        /terraform (?:-chdir=infra )?output(?: -raw)? (\w+)/g,
      ),
    ])
  for (const [, name] of named) expect(outputs).toContain(name)
})

function lifecycleOf(type: string): Record<string, unknown> {
  const resource = resources.find((each) => each.type === type)
  return asBody(asList(resource?.body['lifecycle'])[0])
}
