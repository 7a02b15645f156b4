/**
 * Terraform's own opinion of infra/: formatting, names, types, every validation rule, and whole plans, with the provider mocked
 * (mocked-plan.ts).
 */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  pinned,
  plansOf,
  RECIPIENT,
  terraformTest,
  withoutTerraform as skip,
  type Planned,
} from './mocked-plan.ts'
import { SECRET } from './provider-stand-in.ts'

if (skip)
  console.warn('Terraform is not installed: infra/ is parsed, but neither checked by name nor planned.')

const read = (file: string): string => readFileSync(join(import.meta.dirname, file), 'utf8')

const values = {
  fromProject: 'project = "my-project"',
  everything: `
    project            = "my-project"
    region             = "europe-west1"
    firestore_location = "eur3"
    control_access     = "iam"
    control_invokers   = ["group:ops@example.com"]
    control            = { instances_min = 1 }
    runner             = { instances = 3, cpu = 2, memory_mib = 4096, capacity = 900 }
    fixed_address      = true
    firestore_database = "mooring-restored"
    alert_email        = "ops@example.com"
    repository         = "projects/my-project/locations/europe-west1/connections/github/repositories/mooring"
    branch             = "release-1.2"
    state_bucket       = "my-project-terraform"
    deploy_approval    = true
  `,
}

/** Made once for all tests here. */
let made: Promise<Record<keyof typeof values, Planned[]>> | undefined
const plans = (): NonNullable<typeof made> => (made ??= plansOf(values))

test.skipIf(skip)('is formatted', () => {
  const { stdout } = spawnSync('terraform', ['fmt', '-check', '-diff', import.meta.dirname], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] },
  })
  expect(stdout).toBe('')
})

test.skipIf(skip)('plans everything from the project alone', async () => {
  const { fromProject: resources } = await plans()
  expect(types(resources)).toEqual(
    expect.arrayContaining([
      'google_cloud_run_v2_service',
      'google_cloud_run_v2_worker_pool',
      'google_firestore_database',
    ]),
  )
  const made = resources.map(({ address }) => address)
  expect(
    made.filter((address) => /egress|trigger\.build|notification_channel|terraform/.test(address)),
  ).toEqual([])

  const runner = one(resources, 'google_cloud_run_v2_worker_pool')
  expect(runner).toMatchObject({ name: 'mooring-runner', scaling: [{ manual_instance_count: 1 }] })
  expect(runner).toMatchObject({
    template: [{ volumes: [{ empty_dir: [{ medium: 'MEMORY', size_limit: '204Mi' }] }], vpc_access: [] }],
  })
  expect(settings(runner)).toMatchObject({
    MOORING_ROLE: 'runner',
    MOORING_STORE: 'google',
    MOORING_FIRESTORE_DATABASE: 'mooring',
    MOORING_BUCKET: 'my-project-mooring-snapshots',
    MOORING_WORK_DIR: '/scratch',
    MOORING_RECONCILE: 'on',
    PORT: '8080',
  })
  for (const secret of ['MOORING_ADMIN_KEY', 'MOORING_KEY_PEPPER'])
    expect(settings(runner)).not.toHaveProperty(secret)
  for (const secret of ['MOORING_INBOUND_IDENTITY', 'MOORING_CONTENT_SECRET'])
    expect(settings(runner)).toHaveProperty(secret)
  expect(settings(runner)).not.toHaveProperty('MOORING_EXPORT_RECIPIENTS')

  const control = one(resources, 'google_cloud_run_v2_service')
  expect(control).toMatchObject({ invoker_iam_disabled: true, scaling: [{ min_instance_count: 0 }] })
  expect(settings(control)).toMatchObject({
    MOORING_ROLE: 'control',
    MOORING_INBOUND_RECIPIENT: RECIPIENT,
    MOORING_INSTANCES: '4',
    MOORING_STREAMS_MAX: '200',
    MOORING_TRUSTED_PROXIES: '1',
  })
  for (const secret of ['MOORING_INBOUND_IDENTITY', 'MOORING_KMS_KEY'])
    expect(settings(control)).not.toHaveProperty(secret)
  // Streams leave room for other requests.
  expect(control).toMatchObject({ template: [{ max_instance_request_concurrency: 250 }] })
  for (const secret of ['MOORING_ADMIN_KEY', 'MOORING_KEY_PEPPER', 'MOORING_CONTENT_SECRET'])
    expect(settings(control)).toHaveProperty(secret)
  // Cloud Run sets the PORT of a service itself and refuses ours.
  expect(settings(control)).not.toHaveProperty('PORT')
})

test.skipIf(skip)('plans everything that can be asked for', async () => {
  const { everything: resources } = await plans()
  expect(one(resources, 'google_firestore_database')).toMatchObject({
    location_id: 'eur3',
    name: 'mooring-restored',
  })
  const runner = one(resources, 'google_cloud_run_v2_worker_pool')
  expect(runner).toMatchObject({ template: [{ vpc_access: [{ egress: 'ALL_TRAFFIC' }] }] })
  expect(settings(runner)).toMatchObject({ MOORING_CAPACITY: '900' })
  const control = one(resources, 'google_cloud_run_v2_service')
  expect(control).toMatchObject({
    invoker_iam_disabled: false,
    template: [{ containers: [{ resources: [{ cpu_idle: false }] }] }],
  })
  expect(types(resources)).toEqual(
    expect.arrayContaining(['google_compute_router_nat', 'google_monitoring_notification_channel']),
  )
  expect(types(resources)).not.toContain('google_monitoring_uptime_check_config')
})

test.skipIf(skip)('puts the bootstrap key into no plan', async () => {
  const { fromProject: resources } = await plans()
  expect(JSON.stringify(resources)).not.toContain(SECRET)
})

test.skipIf(skip)(
  'makes each field override and each index of the list, and alerts for each signal',
  async () => {
    const list = JSON.parse(read('firestore.indexes.json')) as Record<string, unknown[]>
    const signals = JSON.parse(read('signals.json')) as unknown[]
    const { fromProject: resources } = await plans()
    const count = (pattern: RegExp) => resources.filter(({ address }) => pattern.test(address)).length
    expect(count(/^google_firestore_field\./)).toBe(list['fieldOverrides']?.length)
    expect(count(/^google_firestore_index\./)).toBe(list['indexes']?.length)
    expect(count(/^google_monitoring_alert_policy\.signal/)).toBe(signals.length)
    const events = resources.find(({ address }) => address.includes('events~expireAt'))
    expect(events?.values).toMatchObject({ ttl_config: [{}], index_config: [{ indexes: [] }] })
  },
)

/** The files that hold the variables and their rules, and nothing that would be planned. */
const RULES = /^(variables\.tf|step-images\.(tf|json))$/

const onlyTags = pinned.replaceAll(/@sha256:a+/g, '').replace('step_images = ', '')
/** Pinned once, and then a tag was raised. */
const yesterdays = pinned.replace(':24.', ':22.').replace('step_images = ', '')

const refused: readonly [variable: string, value: string][] = [
  ['project', '"My Project"'],
  ['region', '"moon"'],
  ['name', '"a-name-that-is-too-long"'],
  ['firestore_location', '"US CENTRAL"'],
  ['firestore_database', '"My Database"'],
  ['control_access', '"public"'],
  ['control_invokers', '["allUsers"]'],
  ['control', '{ instances_min = 5 }'],
  ['control', '{ memory_mib = 128 }'],
  ['runner', '{ instances = 0 }'],
  ['runner', '{ cpu = 4, memory_mib = 1024 }'],
  ['runner', '{ capacity = 0 }'],
  ['image_first', '"not an image"'],
  ['snapshots_soft_delete_days', '3'],
  ['alert_email', '"nobody"'],
  ['repository', '"github.com/me/mooring"'],
  ['branch', '"^main$"'],
  ['state_bucket', '"gs://bucket"'],
  ['log_level', '"loud"'],
  ['inbound_recipient', '"AGE-SECRET-KEY-1"'],
  ['inbound_identity', '"age1"'],
  ['inbound_version', '0.5'],
  ['export_recipients', '["nobody"]'],
  ['step_images', '{}'],
  ['step_images', onlyTags],
  ['step_images', yesterdays],
]

test.skipIf(skip)('refuses each bad value by the rule of its own variable', async () => {
  const runs = refused.map(([variable, value], place) => {
    const given = [
      variable === 'project' ? '' : 'project = "my-project"',
      variable === 'inbound_recipient' ? '' : `inbound_recipient = "${RECIPIENT}"`,
      variable === 'step_images' ? '' : pinned,
      `${variable} = ${value}`,
    ]
    return `run "case_${place}" {\n command = plan\n variables {\n ${given.join('\n')}\n }\n expect_failures = [var.${variable}]\n}`
  })
  const { output, status } = await terraformTest(runs.join('\n'), {}, RULES)
  expect({ status, output }).toMatchObject({ status: 0 })
  expect(output).toContain(`${refused.length} passed, 0 failed`)
})

test.skipIf(skip)('says how the step images are pinned, where they are not', async () => {
  const { output } = await terraformTest(
    'run "bare" {\n command = plan\n variables {\n inbound_recipient = "age1"\n project = "my-project"\n }\n}',
    {},
    RULES,
  )
  expect(output).toContain('run infra/pin-images.sh')
})

const wrong: readonly [written: string, says: RegExp][] = [
  ['timeout = "10s"', /An argument named \\"timeout\\" is not expected here/],
  ['deletion_protection = "perhaps"', /a bool is required/],
  ['scaling {\n}\nscaling {\n}', /No more than 1 \\"scaling\\" blocks are allowed/],
  ['project = google_kms_key_ring.nowhere.id', /Reference to undeclared resource/],
  ['project = google_kms_key_ring.mooring.nothing', /Unsupported attribute/],
  ['template {\n containers {\n ports {\n }\n }\n }', /Blocks of type \\"ports\\" are not expected here/],
  ['', /The argument \\"name\\" is required/],
]

test.skipIf(skip)('takes no name, type or reference that the provider does not know', async () => {
  const written = wrong.map(
    ([line], place) =>
      `resource "google_cloud_run_v2_worker_pool" "wrong_${place}" {\n${line === '' ? '' : 'name = "wrong"\n'}location = "here"\n${line}\n${line.includes('template') ? '' : 'template {\n}\n'}}`,
  )
  const { output, status } = await terraformTest(
    'mock_provider "google" {}\nrun "it" {\n command = plan\n}',
    {
      'wrong.tf': written.join('\n'),
    },
  )
  expect(status).not.toBe(0)
  for (const [, says] of wrong) expect(output).toMatch(says)
})

test.skipIf(skip)('takes the service of docs/deploy.md in the place of the runner pool', async () => {
  const [, service = ''] = /```hcl\n([\s\S]*?)```/.exec(read('../docs/deploy.md')) ?? []
  const { asService } = await plansOf({ asService: 'project = "my-project"' }, { 'runner.tf': service })
  expect(asService.map(({ address }) => address)).toContain('google_cloud_run_v2_service.runner')
})

const types = (resources: readonly Planned[]): string[] => resources.map(({ type }) => type)
const one = (resources: readonly Planned[], type: string): Record<string, unknown> =>
  resources.find((resource) => resource.type === type)?.values ?? {}

function settings(program: Record<string, unknown>): Record<string, unknown> {
  const { template } = program as {
    template: { containers: { env: { name: string; value: unknown }[] }[] }[]
  }
  return Object.fromEntries((template[0]?.containers[0]?.env ?? []).map(({ name, value }) => [name, value]))
}
