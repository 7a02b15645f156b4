/**
 * What Terraform would make of infra/ in an empty project: `terraform test` with the provider mocked, one plan for each set of
 * values. The accounts and the key alone are known beforehand, under short names, so that a plan says who is given what.
 */

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { terraformWithStandIns } from './provider-stand-in.ts'

/** One instance of a resource; what only the cloud decides is missing from its values. */
export interface Planned {
  address: string
  type: string
  values: Record<string, unknown>
}

const FOLDER = import.meta.dirname

/** The state of a test stays in its folder. */
const WITHOUT_BACKEND = {
  'versions.tf': readFileSync(join(FOLDER, 'versions.tf'), 'utf8').replace(/backend "gcs" \{[^}]*\}/, ''),
}

/** Values that only the cloud decides, and that a plan needs to say who is given what. */
const KNOWN: Record<string, Record<string, string>> = {
  ...Object.fromEntries(
    ['control', 'runner', 'builder', 'deployer', 'terraform'].map((name) => [
      `google_service_account.${name}`,
      { id: name, name, member: name, email: name },
    ]),
  ),
  'google_kms_crypto_key.sessions': { id: 'sessions' },
}

/** True where a test must be skipped for want of Terraform; in CI it runs, and fails. */
export const withoutTerraform =
  spawnSync('terraform', ['version']).status !== 0 && process.env['CI'] !== 'true'

/** The public half of nobody's identity. */
export const RECIPIENT = 'age1w5e9atm0336xgqlj55hgmngv3qmslfs3l534pnunmmargnldq4xqpctsmh'

/** Digests that stand for those that pin-images.sh would write. */
export const pinned = `step_images = {\n${Object.entries(
  JSON.parse(readFileSync(join(FOLDER, 'step-images.json'), 'utf8')) as Record<string, string>,
)
  .map(([name, tag]) => `${name} = "${tag}@sha256:${'a'.repeat(64)}"`)
  .join('\n')}\n}`

/**
 * Runs `terraform test` on infra/ with one file of tests, in a folder of its own.
 * @param replaced texts that stand in for files of infra/, or beside them
 * @param read which files of infra/ Terraform sees; everything that it reads when left out
 */
export async function terraformTest(
  tests: string,
  replaced: Record<string, string> = {},
  read = /\.(tf|json|sh)$/,
): Promise<{ status: number | null; output: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-plan-'))
  const terraform = await terraformWithStandIns()
  try {
    for (const file of readdirSync(FOLDER).filter((name) => read.test(name)))
      copyFileSync(join(FOLDER, file), join(folder, file))
    for (const [file, text] of Object.entries({ ...WITHOUT_BACKEND, ...replaced, 'all.tftest.hcl': tests }))
      writeFileSync(join(folder, file), text)
    const init = await terraform.run(folder, ['init', '-no-color'])
    return init.status === 0 ? await terraform.run(folder, ['test', '-json', '-verbose']) : init
  } finally {
    terraform.stop()
    rmSync(folder, { recursive: true })
  }
}

/**
 * Every resource that a first apply would make, for each set of values.
 * @throws Error with Terraform's own words when it refuses one of them
 */
export async function plansOf<Name extends string>(
  cases: Record<Name, string>,
  replaced: Record<string, string> = {},
): Promise<Record<Name, Planned[]>> {
  const known = Object.entries(KNOWN).map(
    ([target, given]) =>
      `override_resource {\n target = ${target}\n override_during = plan\n values = ${JSON.stringify(given)}\n}`,
  )
  const runs = Object.entries(cases).map(
    ([name, values]) =>
      `run "${name}" {\n command = plan\n variables {\n inbound_recipient = "${RECIPIENT}"\n ${pinned}\n ${String(values)}\n }\n}`,
  )
  const tests = `mock_provider "google" {\n${known.join('\n')}\n}\n${runs.join('\n')}`
  const { status, output } = await terraformTest(tests, replaced)
  const lines = output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line)
  if (status !== 0) throw new Error(lines.flatMap(complaintOf).join('\n') || output)
  return Object.fromEntries(
    lines.flatMap(({ '@testrun': run, test_plan: plan }) =>
      run === undefined || plan === undefined ? [] : [[run, plan.resource_changes.map(plannedOf)]],
    ),
  ) as Record<Name, Planned[]>
}

interface Line {
  '@testrun'?: string
  test_plan?: { resource_changes: Change[] }
  diagnostic?: { severity: string; summary: string; detail: string }
}
interface Change {
  address: string
  type: string
  change: { after: Record<string, unknown> }
}

const plannedOf = ({ address, type, change }: Change): Planned => ({ address, type, values: change.after })
const complaintOf = ({ diagnostic }: Line): string[] =>
  diagnostic?.severity === 'error' ? [`${diagnostic.summary}: ${diagnostic.detail}`] : []
