/** The digests of the step images, from registries that answer as the real ones do: some at once, some only to a token. */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runWithFakes, type Outcome, type Rule } from './fake-command.ts'

const script = join(import.meta.dirname, 'pin-images.sh')
const [node, gcloud] = ['1', '2'].map((digit) => `sha256:${digit.repeat(64)}`)
const challenge = 'Bearer realm="https://auth.example/token",service="the registry",scope="repository:x:pull"'

const answering: readonly Rule[] = [
  { when: /Bearer anonymous.*\/library\/node\//, print: `HTTP/2 200\r\nDocker-Content-Digest: ${node}\r\n` },
  { when: /auth\.example/, print: '{"token":"anonymous","expires_in":300}' },
  { when: /\/library\/node\//, print: `HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: ${challenge}\r\n` },
  { when: /\/google-cloud-cli\//, print: `HTTP/2 200\r\ndocker-content-digest: ${gcloud}\r\n` },
]

function pin(curl: readonly Rule[] = []): Outcome & { written: unknown } {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-pins-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const [TAGS, OUT] = [join(folder, 'tags.json'), join(folder, 'pins.json')]
  const tags = { node: 'docker.io/library/node:24-slim', gcloud: 'gcr.io/sdk/google-cloud-cli:582' }
  writeFileSync(TAGS, JSON.stringify(tags, null, 2))
  const outcome = runWithFakes(script, { TAGS, OUT }, { curl: [...curl, ...answering] })
  return { ...outcome, written: existsSync(OUT) ? JSON.parse(readFileSync(OUT, 'utf8')) : undefined }
}

test('writes the digest of every tag, in the form that Terraform reads', () => {
  const { status, stderr, written } = pin()
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(written).toEqual({
    step_images: {
      node: `docker.io/library/node:24-slim@${node}`,
      gcloud: `gcr.io/sdk/google-cloud-cli:582@${gcloud}`,
    },
  })
})

test('asks the place that the registry names for a token, for this one repository', () => {
  const asked = pin().calls.find((call) => call.includes('auth.example'))
  expect(asked).toContain('service=the registry')
  expect(asked).toContain('scope=repository:library/node:pull')
})

const failures: readonly [says: string, rule: Rule][] = [
  ['a tag does not exist', { when: /google-cloud-cli/, print: 'HTTP/2 404\r\n' }],
  ['a registry does not answer', { when: /google-cloud-cli/, exit: 7 }],
  ['no token is given', { when: /auth\.example/, print: '{"errors":[]}' }],
]

test.for(failures)('writes nothing when %s', ([, rule]) => {
  const { status, written } = pin([rule])
  expect(written).toBeUndefined()
  expect(status).not.toBe(0)
})
