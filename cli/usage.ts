import { parseArgs } from 'node:util'
import { settingsList } from '#shared/config.ts'
import { toError } from '#shared/errors.ts'
import type { DoctorOptions } from './doctor.ts'
import { version } from '#shared/version.ts'

/** sysexits(3): the command line is wrong. */
const EX_USAGE = 64

const usage = (): string => `mooring ${version}: keeps WhatsApp sessions alive on hosts that come and go.

Usage: node mooring.ts                                      runs what MOORING_ROLE says
       node mooring.ts doctor [--tenant <name>] [--json]    shows who has credentials, which backups, which records;
                                                            exit code 1 when something needs a person
       node mooring.ts --help | --version

All settings are environment variables, also for the doctor. README.md says what each is for.

${settingsList()
  .map(({ name, byDefault }) => `  ${name.padEnd(33)}${byDefault ?? '–'}`)
  .join('\n')}

Once it runs, the API is explained at /docs. SIGTERM ends it in order, a second one at once.
`

/** What the command line asks for. */
export type Command =
  | { do: 'start' }
  | { do: 'doctor'; options: DoctorOptions }
  | { do: 'say'; code: number; out?: string; error?: string }

/** Pure. An argument that is not known is refused rather than ignored: it was meant to change something. */
export function commandOf(args: readonly string[]): Command {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean', short: 'v' },
        tenant: { type: 'string' },
        json: { type: 'boolean' },
      },
    })
    if (values.help) return { do: 'say', code: 0, out: usage() }
    if (values.version) return { do: 'say', code: 0, out: `${version}\n` }
    const [command, ...more] = positionals
    const { tenant, json = false } = values
    if (command === 'doctor' && more.length === 0) return { do: 'doctor', options: { tenant, json } }
    if (command !== undefined) throw new Error(`there is no command ${JSON.stringify(positionals.join(' '))}`)
    if (tenant !== undefined || json) throw new Error('--tenant and --json are for the doctor')
    return { do: 'start' }
  } catch (error) {
    const what = toError(error).message
    return { do: 'say', code: EX_USAGE, error: `${what}\nnode mooring.ts --help says what there is.\n` }
  }
}
