/** The image script against a docker that records: what it is built with and on, and what is pushed. */

import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runWithFakes, type Outcome, type Rule } from './fake-command.ts'

const script = join(import.meta.dirname, 'build-image.sh')
const [node, base, buildkit] = ['1', '2', '3'].map((digit) => `sha256:${digit.repeat(64)}`)
const commit = 'c'.repeat(40)
const calm: readonly Rule[] = [
  { when: /imagetools inspect .*node:/, print: String(node) },
  { when: /imagetools inspect .*distroless/, print: String(base) },
]

function build(docker: readonly Rule[] = [], env: Record<string, string> = {}): Outcome {
  return runWithFakes(
    script,
    {
      REPOSITORY: 'r.example/mooring',
      COMMIT: commit,
      BUILDKIT_IMAGE: `r.example/buildkit@${buildkit}`,
      ...env,
    },
    { docker: [...docker, ...calm] },
  )
}

const pushes = ({ calls }: Outcome): string[] => calls.filter((call) => call.includes('--push'))

test('builds on digests that the tags of the Dockerfile stand for, and records them', () => {
  const { calls, status } = build()
  const call = calls.find((each) => each.startsWith('docker buildx build')) ?? ''
  expect(call).toContain(`--build-arg=NODE_IMAGE=docker.io/library/node:24.21.0-trixie-slim@${node}`)
  expect(call).toContain(`--build-arg=BASE_IMAGE=gcr.io/distroless/cc-debian13:nonroot@${base}`)
  expect(call).toContain(`--label=org.opencontainers.image.base.digest=${base}`)
  expect(call).toContain(`--label=org.opencontainers.image.revision=${commit}`)
  expect(status).toBe(0)
})

test('builds with the builder that it is given by digest', () => {
  const made = build().calls.find((call) => call.startsWith('docker buildx create'))
  expect(made).toContain(`--driver-opt=image=r.example/buildkit@${buildkit}`)
})

test('pushes the image under its commit, which is what the deploy waits for', () => {
  expect(pushes(build())).toEqual([
    expect.stringMatching(new RegExp(`--tag=r\\.example/mooring:${commit} --push$`)),
  ])
})

test('keeps the cache of every stage in the registry', () => {
  const { calls } = build()
  expect(calls.at(-1)).toContain('--cache-from=type=registry,ref=r.example/mooring:cache')
  expect(calls.at(-1)).toContain('--cache-to=type=registry,ref=r.example/mooring:cache,mode=max')
})

const failures: readonly [says: string, docker: readonly Rule[], env: Record<string, string>][] = [
  ['the registry gives no digest', [{ when: /imagetools/, print: 'not found' }], {}],
  ['the registry does not answer', [{ when: /imagetools/, exit: 1 }], {}],
  ['the builder is named by its tag', [], { BUILDKIT_IMAGE: 'r.example/buildkit:latest' }],
  ['the commit is no commit id', [], { COMMIT: 'cache' }],
]

test.for(failures)('pushes nothing when %s', ([, docker, env]) => {
  const outcome = build(docker, env)
  expect(pushes(outcome)).toEqual([])
  expect(outcome.status).not.toBe(0)
})

test('fails when the build fails', () => {
  expect(build([{ when: /buildx build/, exit: 1 }]).status).not.toBe(0)
})
