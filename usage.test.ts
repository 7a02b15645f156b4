import { expect, test } from 'vitest'
import { answerArguments } from './usage.ts'
import { version } from './version.ts'

test('without arguments it starts', () => {
  expect(answerArguments([])).toBeUndefined()
})

test.for(['--help', '-h'])('%s names every setting with its default', (flag) => {
  const answer = answerArguments([flag])
  expect(answer?.code).toBe(0)
  expect(answer?.out).toMatch(/^ {2}MOORING_ROLE +all$/m)
  expect(answer?.out).toMatch(/^ {2}MOORING_LEASE_FOR_MS +10000$/m)
  expect(answer?.out).toMatch(/^ {2}MOORING_KMS_KEY +–$/m)
})

test('--version says the version and nothing else', () => {
  expect(answerArguments(['--version'])).toEqual({ code: 0, out: `${version}\n` })
})

test.for([['--port', '9000'], ['runner'], ['--helf']])('%j is refused, with where to look', (args) => {
  const answer = answerArguments(args)
  expect(answer?.code).toBe(64)
  expect(answer?.error).toContain(args[0])
  expect(answer?.error).toContain('--help')
})
