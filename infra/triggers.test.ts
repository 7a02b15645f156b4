/** The three triggers, as planned: under which account each runs, what it runs, and what starts it. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { plansOf, withoutTerraform, type Planned } from './mocked-plan.ts'

const read = (file: string): string => readFileSync(join(import.meta.dirname, file), 'utf8')
const values = {
  byHand: 'project = "my-project"',
  byPush: `
    project         = "my-project"
    repository      = "projects/my-project/locations/europe-west1/connections/github/repositories/mooring"
    branch          = "release-1.2"
    state_bucket    = "my-project-terraform"
    deploy_approval = true
  `,
}

let made: Promise<Record<keyof typeof values, Planned[]>> | undefined
async function trigger(
  plan: keyof typeof values,
  name: string,
): Promise<Record<string, unknown> | undefined> {
  const resources = (await (made ??= plansOf(values)))[plan]
  return resources.find(({ address }) => address.startsWith(`google_cloudbuild_trigger.${name}`))?.values
}

/** What a trigger must give to the pipeline that it starts: everything that has no default there. */
function wantedBy(file: string): string[] {
  const { steps, substitutions } = parse(read(`../${file}`)) as {
    steps: { name: string; script: string }[]
    substitutions: Record<string, string>
  }
  const used = [...JSON.stringify(steps).matchAll(/\$\{?(_[A-Z_]+)/g)].map(([, name = '']) => name)
  return [...new Set(used)].filter((name) => !(name in substitutions))
}

test.skipIf(withoutTerraform)('builds a push under the account that can only push images', async () => {
  const build = await trigger('byPush', 'build')
  expect(build).toMatchObject({
    service_account: 'builder',
    filename: 'cloudbuild.yaml',
    repository_event_config: [{ push: [{ branch: '^release-1\\.2$' }] }],
  })
  expect(await trigger('byHand', 'build')).toBeUndefined()
})

test.skipIf(withoutTerraform)(
  'gives each pipeline its images by digest, and all that it asks for',
  async () => {
    for (const [name, file] of [
      ['build', 'cloudbuild.yaml'],
      ['terraform', 'cloudbuild.terraform.yaml'],
    ] as const) {
      const given = (await trigger('byPush', name))?.['substitutions'] as Record<string, string>
      const wanted = wantedBy(file)
      expect(wanted).toContain('_TERRAFORM_IMAGE')
      for (const each of wanted) expect(`${each}=${given[each]}`).toMatch(/_IMAGE=.+@sha256:[0-9a-f]{64}$/)
    }
  },
)

test.skipIf(withoutTerraform)(
  'deploys with one script, as Terraform applied it, and without the repository',
  async () => {
    const deploy = await trigger('byHand', 'deploy')
    expect(deploy).toMatchObject({ service_account: 'deployer' })
    for (const source of [
      'filename',
      'git_file_source',
      'source_to_build',
      'repository_event_config',
      'github',
    ])
      expect(deploy?.[source] ?? []).toEqual([])
    const [build] = (deploy?.['build'] ?? []) as { step: Record<string, unknown>[]; source: unknown[] }[]
    const { step = [], source } = build ?? {}
    expect(source).toEqual([])
    expect(step).toHaveLength(1)
    expect(step[0]).toMatchObject({
      name: expect.stringMatching(/google-cloud-cli:.+@sha256:[0-9a-f]{64}$/),
      script: read('deploy.sh'),
      env: expect.arrayContaining([
        'REPOSITORY=us-central1-docker.pkg.dev/my-project/mooring/mooring',
        'IMAGE=$_IMAGE',
      ]),
    })
    // Each of the script's needs is given, so that it does not stop at its first line.
    const [, needs = ''] = /^: (.+)$/m.exec(read('deploy.sh')) ?? []
    const given = ((step[0]?.['env'] ?? []) as string[]).map((line) => line.split('=')[0])
    for (const [, name] of needs.matchAll(/\$\{(\w+):\?\}/g)) expect(given).toContain(name)
  },
)

test.skipIf(withoutTerraform)(
  'waits for a person before a deploy where that is wished, and always before an apply',
  async () => {
    const approval = async (plan: keyof typeof values, name: string): Promise<unknown> =>
      (await trigger(plan, name))?.['approval_config']
    expect(await approval('byHand', 'deploy')).toEqual([{ approval_required: false }])
    expect(await approval('byPush', 'deploy')).toEqual([{ approval_required: true }])
    expect(await approval('byPush', 'terraform')).toEqual([{ approval_required: true }])
  },
)

test.skipIf(withoutTerraform)('applies again when anything changes that Terraform reads', async () => {
  const files = (await trigger('byPush', 'terraform'))?.['included_files']
  expect(files).toEqual(expect.arrayContaining(['infra/*.tf', 'infra/*.json', 'infra/deploy.sh']))
})

const repository = 'us-central1-docker.pkg.dev/my-project/mooring/mooring'
const pushed = {
  action: 'INSERT',
  tag: `${repository}:${'c'.repeat(40)}`,
  digest: `${repository}@sha256:${'d'.repeat(64)}`,
}
const others: readonly [says: string, message: Partial<typeof pushed>][] = [
  ['the build’s cache', { tag: `${repository}:cache` }],
  ['an image without a tag', { tag: '' }],
  ['a deletion', { action: 'DELETE' }],
  ['another image of the repository', { tag: pushed.tag.replace('mooring:', 'other:') }],
  ['an image of another repository', { digest: `evil.example/mooring@sha256:${'d'.repeat(64)}` }],
  ['a look-alike host', { tag: pushed.tag.replace('.pkg.dev', '-pkg-dev') }],
]

test.skipIf(withoutTerraform)('deploys what the build pushed under a commit, and nothing else', async () => {
  const deploy = await trigger('byHand', 'deploy')
  expect(deploy).toMatchObject({ pubsub_config: [{ topic: 'projects/my-project/topics/gcr' }] })
  expect(starts(deploy, pushed)).toBe(true)
  for (const [says, part] of others)
    expect([says, starts(deploy, { ...pushed, ...part })]).toEqual([says, false])
})

/** Whether a message starts a trigger: its fields become substitutions, of which the filter is written (in CEL; the part that is used). */
function starts(trigger_: Record<string, unknown> | undefined, message: Partial<typeof pushed>): boolean {
  const given = Object.entries(trigger_?.['substitutions'] as Record<string, string>).map(([name, from]) => {
    const [, field = ''] = /^\$\(body\.message\.data\.(\w+)\)$/.exec(from) ?? []
    return [name, message[field as keyof typeof pushed] ?? ''] as const
  })
  return String(trigger_?.['filter'])
    .split(' && ')
    .every((term) => {
      const [, name = '', equal, pattern] =
        /^(_[A-Z]+)(?: == "([^"]*)"|\.matches\("([^"]*)"\))$/.exec(term) ?? []
      const value = Object.fromEntries(given)[name]
      if (value === undefined) throw new Error(`this term is not understood: ${term}`)
      return equal === undefined ? new RegExp(String(pattern)).test(value) : value === equal
    })
}
