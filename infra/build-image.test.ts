/** The image script against a docker that records: what is built on, what is pushed, and what is handed to the deploy. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runWithFakes, type Outcome, type Rule } from './fake-command.ts'

const script = join(import.meta.dirname, 'build-image.sh')
const [node, base, built] = ['1', '2', '3'].map((digit) => `sha256:${digit.repeat(64)}`)
const metadata = `{\n  "buildx.build.ref": "mooring/1",\n  "containerimage.digest": "${built}",\n  "image.name": "r"\n}`

const calm: readonly Rule[] = [
  { when: /imagetools inspect .*node:/, print: String(node) },
  { when: /imagetools inspect .*distroless/, print: String(base) },
  { when: /buildx build/, write: { flag: 'metadata-file', text: metadata } },
]

function build(docker: readonly Rule[] = []): Outcome & { handedOn: string | undefined } {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-image-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const OUT = join(folder, 'reference')
  const outcome = runWithFakes(
    script,
    { REPOSITORY: 'r.example/mooring', COMMIT: 'abc123', OUT },
    { docker: [...docker, ...calm] },
  )
  return { ...outcome, handedOn: existsSync(OUT) ? readFileSync(OUT, 'utf8').trim() : undefined }
}

test('builds on digests that the tags of the Dockerfile stand for, and records them', () => {
  const { calls, status } = build()
  const call = calls.find((each) => each.startsWith('docker buildx build')) ?? ''
  expect(call).toContain(`--build-arg=NODE_IMAGE=docker.io/library/node:24.21.0-trixie-slim@${node}`)
  expect(call).toContain(`--build-arg=BASE_IMAGE=gcr.io/distroless/cc-debian13:nonroot@${base}`)
  expect(call).toContain(`--label=org.opencontainers.image.base.digest=${base}`)
  expect(call).toContain('--label=org.opencontainers.image.revision=abc123')
  expect(status).toBe(0)
})

test('hands the digest of what it pushed to the deploy', () => {
  const { calls, handedOn } = build()
  expect(calls.at(-1)).toMatch(/--tag=r\.example\/mooring:abc123 .*--push/)
  expect(handedOn).toBe(`r.example/mooring@${built}`)
})

test('keeps the cache of every stage in the registry', () => {
  const { calls } = build()
  expect(calls.at(-1)).toContain('--cache-from=type=registry,ref=r.example/mooring:cache')
  expect(calls.at(-1)).toContain('--cache-to=type=registry,ref=r.example/mooring:cache,mode=max')
})

const failures: readonly [says: string, rule: Rule][] = [
  ['the registry gives no digest', { when: /imagetools/, print: 'not found' }],
  ['the registry does not answer', { when: /imagetools/, exit: 1 }],
  ['the build fails', { when: /buildx build/, exit: 1 }],
  ['the build writes no digest', { when: /buildx build/, write: { flag: 'metadata-file', text: '{}' } }],
]

test.for(failures)('hands nothing on when %s', ([, rule]) => {
  const { status, handedOn } = build([rule])
  expect(handedOn).toBeUndefined()
  expect(status).not.toBe(0)
})
