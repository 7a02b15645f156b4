import { Command, InvalidArgumentError } from 'commander'
import { simulate, type SimulationResult } from './simulation.ts'

const whole = (text: string): number => {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 0) throw new InvalidArgumentError('a whole number is needed')
  return number
}

interface Options {
  seeds: number
  seed?: number
  runners?: number
  sessions?: number
  minutes?: number
  lines: number
}

const program = new Command('simulate')
  .description(
    'Runs many runners over simulated stores, clocks and WhatsApp, in virtual time, with faults. A run depends on its seed alone.',
  )
  .option('--seeds <count>', 'how many runs', whole, 1_000)
  .option(
    '--seed <number>',
    'the first seed; the next runs take the following ones (default: from the clock)',
    whole,
  )
  .option('--runners <count>', 'hosts with a runner each (default: 1 to 4, drawn)', whole)
  .option('--sessions <count>', 'paired sessions (default: 1 to 6, drawn)', whole)
  .option('--minutes <count>', 'virtual minutes with faults (default: 1 to 4, drawn)', whole)
  .option('--lines <count>', 'lines of the trace to show of a run that fails', whole, 120)

async function main(options: Options): Promise<void> {
  const { seeds, runners, sessions, minutes, lines } = options
  const first = options.seed ?? Date.now() % 1_000_000_000
  console.log(`seed ${first}`)
  const startMs = performance.now()
  const sums: Record<string, number> = {}
  for (let done = 0; done < seeds; done++) {
    const seed = first + done
    const result = await simulate({ seed, runners, sessions, minutes })
    if (result.violation !== undefined) return fail(result, lines)
    for (const [name, count] of Object.entries(result.counts)) sums[name] = (sums[name] ?? 0) + count
    sums['virtual hours'] = (sums['virtual hours'] ?? 0) + result.virtualMs / 3_600_000
    if (process.stdout.isTTY)
      process.stdout.write(`\r${done + 1} of ${seeds} runs, ${rate(done + 1, startMs)}`)
    else if ((done + 1) % 500 === 0) console.log(`${done + 1} of ${seeds} runs, ${rate(done + 1, startMs)}`)
  }
  const facts = Object.entries(sums).map(([name, sum]) => `${Math.round(sum)} ${name}`)
  console.log(`${process.stdout.isTTY ? '\n' : ''}${seeds} runs kept every promise: ${facts.join(', ')}`)
}

const rate = (done: number, startMs: number): string =>
  `${((done / (performance.now() - startMs)) * 1000).toFixed(1)} a second`

function fail(result: SimulationResult, lines: number): void {
  const about = /\bt~s\d+\b/.exec(result.violation ?? '')?.[0]
  console.log(`\n${result.trace.last(lines, about).join('\n')}`)
  console.log(`\ndrawn: ${JSON.stringify(result.drawn)}`)
  console.log(`seed ${result.seed}: ${result.violation}`)
  process.exitCode = 1
}

await main(program.parse().opts<Options>())
