import { expect, test } from 'vitest'
import { skipReason } from '#test/cloud/google-subject.ts'
import { startChild } from './child.ts'

/** An emulator, a stand-in and six processes on two cores that others use as well. */
const REHEARSAL_WITHIN_MS = 240_000

test.skipIf(skipReason !== undefined)(
  'B5: a rolling deploy over the stores of Google Cloud loses nothing, and no number has two sockets',
  async () => {
    const child = startChild([
      'infra/rehearse-deploy.ts',
      '--sessions',
      '8',
      '--runners',
      '2',
      '--deploys',
      '1',
    ])
    const { code } = await child.ended
    const said = child.lines.join('\n')
    expect(said).toMatch(/gap without a socket\s+p50 \d+ ms, p99 \d+ ms/)
    expect(said).toMatch(/conflicts \(440\)\s+0/)
    expect(said).toMatch(/0 lost, 0 doubled/)
    expect(said).not.toContain('broken:')
    expect(code).toBe(0)
  },
  REHEARSAL_WITHIN_MS,
)

test('the rehearsal of a deploy says what it is for', async () => {
  const child = startChild(['infra/rehearse-deploy.ts', '--help'])
  expect((await child.ended).code).toBe(0)
  expect(child.lines.join('\n')).toMatch(/--sessions[\s\S]+--runners[\s\S]+--deploys/)
})
