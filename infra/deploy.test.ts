/**
 * The deploy script against a gcloud that records and fails on command. What matters is the order of the steps, and
 * that after any failure both programs are where they were found.
 */

import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runWithFakes, type Outcome, type Rule } from './fake-command.ts'

const script = join(import.meta.dirname, 'deploy.sh')
const repository = 'us-central1-docker.pkg.dev/p/mooring/mooring'
const image = `${repository}@sha256:0123456789ab${'a'.repeat(52)}`
const settings = {
  PROJECT: 'p',
  REGION: 'us-central1',
  NAME: 'mooring',
  REPOSITORY: repository,
  IMAGE: image,
  SETTLE_SECONDS: '0',
  SMOKE_SECONDS: '0',
  READY_SECONDS: '0',
  POLL_SECONDS: '0',
}

/** A project in which everything works: old revisions serve, new ones come up. */
const calm: readonly Rule[] = [
  { when: /run services describe .*traffic\.tag/, print: ',\ni-0123456789ab,https://tag.example' },
  { when: /run services describe .*traffic\.revisionName/, print: 'control-old,100\ncontrol-new,' },
  { when: /run services describe .*latestCreated/, print: 'control-new' },
  { when: /run services describe .*status\.url/, print: 'https://control.example' },
  { when: /run worker-pools describe .*instanceSplits/, print: 'runner-old,100' },
  { when: /run worker-pools describe .*latestCreated/, print: 'runner-new' },
  { when: /run worker-pools describe .*manualInstanceCount/, print: '3' },
  { when: /run worker-pools revisions describe/, print: 'Ready,True,\nContainerHealthy,True,' },
  { when: /auth print-identity-token/, print: 'token-of-the-pipeline' },
]
const answering: readonly Rule[] = [
  { when: /v1\/sessions$/, print: '401' },
  { when: /health/, print: '200' },
]

interface Trouble {
  gcloud?: readonly Rule[]
  curl?: readonly Rule[]
  env?: Record<string, string>
}

function deploy({ gcloud = [], curl = [], env = {} }: Trouble = {}): Outcome {
  return runWithFakes(
    script,
    { ...settings, ...env },
    { gcloud: [...gcloud, ...calm], curl: [...curl, ...answering] },
  )
}

/** The calls that change something, without the arguments that every call has. */
function changes({ calls }: Outcome): string[] {
  return calls
    .filter((call) => / (deploy|update-traffic|update-instance-split) /.test(call))
    .map((call) =>
      call
        .replace('gcloud run ', '')
        .replace(' --project=p --region=us-central1 --quiet', '')
        .replace(image, 'IMAGE'),
    )
}

const toControl = [
  'deploy mooring-control --image=IMAGE --no-traffic',
  'services update-traffic mooring-control --update-tags=i-0123456789ab=control-new',
]
const toRunners = [
  'worker-pools deploy mooring-runner --image=IMAGE --no-promote',
  'worker-pools update-instance-split mooring-runner --to-revisions=runner-new=34',
  'worker-pools update-instance-split mooring-runner --to-revisions=runner-new=100',
]
const lifted = [
  'services update-traffic mooring-control --to-latest --remove-tags=i-0123456789ab',
  'worker-pools update-instance-split mooring-runner --to-latest',
]
const controlBack = [
  'services update-traffic mooring-control --to-revisions=control-old=100',
  'services update-traffic mooring-control --remove-tags=i-0123456789ab',
]
const runnersBack = ['worker-pools update-instance-split mooring-runner --to-revisions=runner-old=100']

test('moves control without traffic, then the runners in stages, then the traffic', () => {
  const outcome = deploy()
  expect(changes(outcome)).toEqual([...toControl, ...toRunners, ...lifted])
  expect(outcome.status).toBe(0)
})

test('asks for health and for a refusal without a key before a runner moves', () => {
  const { calls } = deploy()
  const asked = calls
    .filter((call) => call.startsWith('curl'))
    .map((call) => call.split('https://tag.example')[1])
  expect(asked).toEqual(['/health/live', '/health/ready', '/v1/sessions'])
  expect(calls.findLastIndex((call) => call.startsWith('curl'))).toBeLessThan(
    calls.findIndex((call) => call.includes('worker-pools deploy')),
  )
})

test('moves a single runner at once, since one instance can not be split', () => {
  const outcome = deploy({ gcloud: [{ when: /manualInstanceCount/, print: '1' }] })
  expect(changes(outcome)).not.toContainEqual(expect.stringContaining('=34'))
  expect(outcome.status).toBe(0)
})

test('shows the platform a token, and leaves Authorization alone, when IAM guards control', () => {
  const { calls, status } = deploy({ env: { CONTROL_ACCESS: 'iam' } })
  const asked = calls.filter((call) => call.startsWith('curl'))
  expect(
    asked.every((call) => call.includes('X-Serverless-Authorization: Bearer token-of-the-pipeline')),
  ).toBe(true)
  expect(calls.find((call) => call.includes('print-identity-token'))).toContain(
    '--audiences=https://control.example',
  )
  expect(status).toBe(0)
})

const failures: readonly [
  says: string,
  trouble: Trouble,
  before: readonly string[],
  back: readonly string[],
][] = [
  [
    'control does not start',
    { gcloud: [{ when: /run deploy/, exit: 1 }] },
    toControl.slice(0, 1),
    controlBack,
  ],
  ['control is not healthy', { curl: [{ when: /ready/, print: '503' }] }, toControl, controlBack],
  ['control lets strangers in', { curl: [{ when: /sessions/, print: '200' }] }, toControl, controlBack],
  ['control can not be reached', { curl: [{ when: /live/, exit: 7 }] }, toControl, controlBack],
  [
    'the runner image is refused',
    { gcloud: [{ when: /worker-pools deploy/, exit: 1 }] },
    [...toControl, ...toRunners.slice(0, 1)],
    controlBack,
  ],
  [
    'the first split fails',
    { gcloud: [{ when: /=34/, exit: 1 }] },
    [...toControl, ...toRunners.slice(0, 2)],
    [...runnersBack, ...controlBack],
  ],
  [
    'the first third does not start',
    { gcloud: [{ when: /revisions describe/, print: 'Ready,False,exit 1' }] },
    [...toControl, ...toRunners.slice(0, 2)],
    [...runnersBack, ...controlBack],
  ],
  [
    'the first third dies while it settles',
    { gcloud: [{ when: /revisions describe/, print: 'Ready,False,exit 1', fromCall: 2 }] },
    [...toControl, ...toRunners.slice(0, 2)],
    [...runnersBack, ...controlBack],
  ],
  [
    'the runner never gets ready',
    { gcloud: [{ when: /revisions describe/, print: 'Ready,Unknown,' }] },
    [...toControl, ...toRunners.slice(0, 2)],
    [...runnersBack, ...controlBack],
  ],
  [
    'the whole split fails',
    { gcloud: [{ when: /runner-new=100/, exit: 1 }] },
    [...toControl, ...toRunners],
    [...runnersBack, ...controlBack],
  ],
  [
    'another deploy came in between',
    { gcloud: [{ when: /services describe .*latestCreated/, print: 'control-newer', fromCall: 2 }] },
    [...toControl, ...toRunners],
    [...runnersBack, ...controlBack],
  ],
  [
    'traffic can not be moved',
    { gcloud: [{ when: /services update-traffic .*to-latest/, exit: 1 }] },
    [...toControl, ...toRunners, ...lifted.slice(0, 1)],
    [...runnersBack, ...controlBack],
  ],
  [
    'the pin can not be lifted',
    { gcloud: [{ when: /instance-split .*to-latest/, exit: 1 }] },
    [...toControl, ...toRunners, ...lifted],
    [...runnersBack, ...controlBack],
  ],
]

test.for(failures)('puts everything back where it was when %s', ([, trouble, before, back]) => {
  const outcome = deploy(trouble)
  expect(changes(outcome)).toEqual([...before, ...back])
  expect(outcome.stdout).toContain('rolled back to control-old=100 and runner-old=100')
  expect(outcome.status).not.toBe(0)
})

test('puts everything back where it was when the build is ended in the middle', () => {
  const outcome = deploy({ gcloud: [{ when: /=34/, endsCaller: true }] })
  expect(changes(outcome)).toEqual([...toControl, ...toRunners.slice(0, 2), ...runnersBack, ...controlBack])
  expect(outcome.status).toBe(143)
})

test('puts a split over several revisions back as it was', () => {
  const outcome = deploy({
    gcloud: [
      { when: /instanceSplits/, print: 'runner-a,30\nrunner-b,70' },
      { when: /runner-new=100/, exit: 1 },
    ],
  })
  expect(changes(outcome).find((call) => call.includes('runner-a'))).toMatch(
    /--to-revisions=(runner-a=30,runner-b=70|runner-b=70,runner-a=30)$/,
  )
})

test('says what to type when the rollback itself fails', () => {
  const { stderr, status } = deploy({
    gcloud: [
      { when: /=34/, exit: 1 },
      { when: /runner-old=100/, exit: 1 },
    ],
  })
  expect(stderr).toContain(
    'by hand: gcloud run worker-pools update-instance-split mooring-runner --to-revisions=runner-old=100',
  )
  expect(stderr).toContain('THE ROLLBACK IS INCOMPLETE')
  expect(status).not.toBe(0)
})

test('refuses an image that is named by its tag, and touches nothing', () => {
  const outcome = deploy({ env: { IMAGE: 'repository:latest' } })
  expect(outcome.calls).toEqual([])
  expect(outcome.stderr).toContain('IMAGE must be a digest')
  expect(outcome.status).toBe(1)
})

test('refuses an image from anywhere but the repository that the build pushes to, and touches nothing', () => {
  for (const other of ['evil.example/mooring', `${repository}-2`, `${repository}/mooring`]) {
    const outcome = deploy({ env: { IMAGE: `${other}@sha256:${'a'.repeat(64)}` } })
    expect(outcome.calls).toEqual([])
    expect(outcome.stderr).toContain(`IMAGE must be one of ${repository}`)
    expect(outcome.status).toBe(1)
  }
})

test('touches nothing where Terraform has not made the services yet', () => {
  const outcome = deploy({ gcloud: [{ when: /traffic\.revisionName/, exit: 1 }] })
  expect(changes(outcome)).toEqual([])
  expect(outcome.status).not.toBe(0)
})
