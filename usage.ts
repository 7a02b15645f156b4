import { parseArgs } from 'node:util'
import { settingsList } from '#shared/config.ts'
import { toError } from '#shared/errors.ts'
import { version } from './version.ts'

/** sysexits(3): the command line is wrong. */
const EX_USAGE = 64

const usage = (): string => `mooring ${version}: keeps WhatsApp sessions alive on hosts that come and go.

Usage: node mooring.ts [--help | --version]

It takes no arguments: all settings are environment variables. README.md says what each is for.

${settingsList()
  .map(({ name, byDefault }) => `  ${name.padEnd(30)}${byDefault ?? '–'}`)
  .join('\n')}

Once it runs, the API is explained at /docs. SIGTERM ends it in order, a second one at once.
`

/**
 * What the command line asks for instead of a start, and the exit code after it; `undefined` when it asks for nothing. An
 * argument that is not known is refused rather than ignored: it was meant to change something.
 */
export function answerArguments(
  args: readonly string[],
): { code: number; out?: string; error?: string } | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean', short: 'v' } },
    })
    if (values.help) return { code: 0, out: usage() }
    if (values.version) return { code: 0, out: `${version}\n` }
    return undefined
  } catch (error) {
    return {
      code: EX_USAGE,
      error: `${toError(error).message}\nnode mooring.ts --help says what there is.\n`,
    }
  }
}
