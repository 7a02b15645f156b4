import { expect, test } from 'vitest'
import { commandOf } from './usage.ts'
import { version } from '#shared/version.ts'

test('without arguments it starts', () => {
  expect(commandOf([])).toEqual({ do: 'start' })
})

test.for(['--help', '-h'])('%s names every command, and every setting with its default', (flag) => {
  const command = commandOf([flag])
  expect(command).toMatchObject({ do: 'say', code: 0 })
  const out = command.do === 'say' ? command.out : ''
  expect(out).toMatch(/ doctor /)
  expect(out).toMatch(/^ {2}MOORING_ROLE +all$/m)
  expect(out).toMatch(/^ {2}MOORING_LEASE_FOR_MS +10000$/m)
  expect(out).toMatch(/^ {2}MOORING_KMS_KEY +–$/m)
})

test('--version says the version and nothing else', () => {
  expect(commandOf(['--version'])).toEqual({ do: 'say', code: 0, out: `${version}\n` })
})

test('C6 the doctor is asked for all sessions, or for those of a tenant, for people or for programs', () => {
  expect(commandOf(['doctor'])).toEqual({ do: 'doctor', options: { tenant: undefined, json: false } })
  expect(commandOf(['doctor', '--json', '--tenant', 'acme'])).toEqual({
    do: 'doctor',
    options: { tenant: 'acme', json: true },
  })
})

test.for([['--port', '9000'], ['runner'], ['--helf'], ['doctor', 'acme'], ['--json']])(
  '%j is refused, with what to do',
  (args) => {
    const command = commandOf(args)
    expect(command).toMatchObject({ do: 'say', code: 64, error: expect.stringContaining('--help') })
    expect(command.do === 'say' && command.error).toContain(args[0])
  },
)
