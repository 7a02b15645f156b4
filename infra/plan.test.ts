/**
 * Terraform's own opinion of infra/: formatting, every validation rule, and whole plans, made against a provider that
 * has the real one's schema but no cloud behind it (provider-stand-in.ts).
 */

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { readSchema } from './hcl.ts'
import { terraformWithStandIns } from './provider-stand-in.ts'

const present = spawnSync('terraform', ['version']).status === 0
const skip = !present && process.env['CI'] !== 'true'
if (skip) console.warn('Terraform is not installed: infra/ is parsed and checked by name, but not planned.')

interface Resource {
  address: string
  type: string
  values: Record<string, unknown>
}

let terraform: Awaited<ReturnType<typeof terraformWithStandIns>>
beforeAll(async () => {
  terraform = await terraformWithStandIns(readSchema())
})
afterAll(() => terraform.stop())

test.skipIf(skip)('is formatted', () => {
  const { stdout } = spawnSync('terraform', ['fmt', '-check', '-diff', import.meta.dirname], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] },
  })
  expect(stdout).toBe('')
})

test.skipIf(skip)('plans everything from the project alone', async () => {
  const resources = await planFromProject()
  expect(types(resources)).toEqual(
    expect.arrayContaining([
      'google_cloud_run_v2_service',
      'google_cloud_run_v2_worker_pool',
      'google_firestore_database',
    ]),
  )
  const made = resources.map(({ address }) => address)
  expect(
    made.filter((address) => /egress|cloudbuild_trigger|notification_channel|terraform/.test(address)),
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

  const control = one(resources, 'google_cloud_run_v2_service')
  expect(control).toMatchObject({ invoker_iam_disabled: true, scaling: [{ min_instance_count: 0 }] })
  expect(settings(control)).toMatchObject({ MOORING_ROLE: 'control' })
  for (const secret of ['MOORING_ADMIN_KEY', 'MOORING_KEY_PEPPER'])
    expect(settings(control)).toHaveProperty(secret)
  // Cloud Run sets the PORT of a service itself and refuses ours.
  expect(settings(control)).not.toHaveProperty('PORT')
})

test.skipIf(skip)('plans everything that can be asked for', async () => {
  const resources = await plan(`
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
    state_bucket       = "my-project-terraform"
  `)
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
  const triggers = resources.filter(({ type }) => type === 'google_cloudbuild_trigger')
  expect(triggers).toHaveLength(2)
  expect(triggers.find(({ address }) => address.includes('terraform'))?.values).toMatchObject({
    approval_config: [{ approval_required: true }],
  })
  expect(types(resources)).toEqual(
    expect.arrayContaining(['google_compute_router_nat', 'google_monitoring_notification_channel']),
  )
  expect(types(resources)).not.toContain('google_monitoring_uptime_check_config')
})

test.skipIf(skip)('puts the bootstrap key into no plan', async () => {
  const resources = await planFromProject()
  expect(JSON.stringify(resources)).not.toContain('x'.repeat(43))
})

test.skipIf(skip)(
  'makes each field override and each index of the list, and alerts for each signal',
  async () => {
    const read = (file: string) =>
      JSON.parse(readFileSync(join(import.meta.dirname, file), 'utf8')) as Record<string, unknown[]> &
        unknown[]
    const list = read('firestore.indexes.json')
    const resources = await planFromProject()
    const count = (pattern: RegExp) => resources.filter(({ address }) => pattern.test(address)).length
    expect(count(/^google_firestore_field\./)).toBe(list['fieldOverrides']?.length)
    expect(count(/^google_firestore_index\./)).toBe(list['indexes']?.length)
    expect(count(/^google_monitoring_alert_policy\.signal/)).toBe(read('signals.json').length)
    const events = resources.find(({ address }) => address.includes('events~expireAt'))
    expect(events?.values).toMatchObject({ ttl_config: [{}], index_config: [{ indexes: [] }] })
  },
)

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
]

test.skipIf(skip)('refuses each bad value by the rule of its own variable', async () => {
  const folder = scratch(['variables.tf'])
  const runs = refused.map(([variable, value], place) => {
    const given = variable === 'project' ? '' : 'project = "my-project"'
    return `run "case_${place}" {\n command = plan\n variables {\n ${given}\n ${variable} = ${value}\n }\n expect_failures = [var.${variable}]\n}`
  })
  writeFileSync(join(folder, 'refused.tftest.hcl'), runs.join('\n'))
  const { output, status } = await terraform.run(folder, ['test', '-no-color'])
  expect({ status, output }).toMatchObject({ status: 0 })
  expect(output).toContain(`${refused.length} passed, 0 failed`)
})

/** The plan that several tests look at, made once. */
let fromProject: Promise<Resource[]> | undefined
function planFromProject(): Promise<Resource[]> {
  fromProject ??= plan('project = "my-project"')
  return fromProject
}

/** Everything that a first apply with these values would make. */
async function plan(values: string): Promise<Resource[]> {
  const folder = scratch(readdirSync(import.meta.dirname).filter((file) => /\.(tf|json)$/.test(file)))
  // The state stays in the scratch folder; everything else is planned as it is.
  const versions = readFileSync(join(folder, 'versions.tf'), 'utf8')
  writeFileSync(join(folder, 'versions.tf'), versions.replace(/backend "gcs" \{[^}]*\}/, ''))
  writeFileSync(join(folder, 'terraform.tfvars'), values)
  for (const args of [['init'], ['validate'], ['plan', '-out=plan']]) {
    const { status, output } = await terraform.run(folder, [...args, '-no-color'])
    expect({ status, output }).toMatchObject({ status: 0 })
  }
  const { output } = await terraform.run(folder, ['show', '-json', 'plan'])
  const shown = JSON.parse(output) as { planned_values: { root_module: { resources: Resource[] } } }
  return shown.planned_values.root_module.resources
}

function scratch(files: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-plan-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const file of files) copyFileSync(join(import.meta.dirname, file), join(folder, file))
  return folder
}

const types = (resources: readonly Resource[]): string[] => resources.map(({ type }) => type)
const one = (resources: readonly Resource[], type: string): Record<string, unknown> =>
  resources.find((resource) => resource.type === type)?.values ?? {}

function settings(program: Record<string, unknown>): Record<string, unknown> {
  const { template } = program as {
    template: { containers: { env: { name: string; value: unknown }[] }[] }[]
  }
  return Object.fromEntries((template[0]?.containers[0]?.env ?? []).map(({ name, value }) => [name, value]))
}
