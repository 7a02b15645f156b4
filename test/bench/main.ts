import { Command } from 'commander'
import { benchColdStart } from './cold-start.ts'
import { benchFullPass } from './full-pass.ts'
import { benchGoogleCosts, benchGoogleRestart } from './google.ts'
import { benchHandOver } from './hand-over.ts'
import { benchMessages } from './messages.ts'
import { benchRestart } from './restart.ts'
import { benchStores } from './stores.ts'
import { benchTakeover } from './takeover.ts'
import { benchRehydrate, benchSet } from './state.ts'
import { table, type Figure } from './report.ts'

/** Every benchmark by name, in the order of docs/design/promises.md §11. */
const BENCHES: Record<string, () => Promise<readonly Figure[]>> = {
  restart50: () => benchRestart(50, 3),
  restart200: () => benchRestart(200, 2),
  restart1000: () => benchRestart(1000, 1),
  handover: () => benchHandOver(60, 3),
  drain500: () => benchHandOver(500, 1),
  takeover: () => benchTakeover(40),
  fullpass: () => benchFullPass(10_000),
  coldstart: () => benchColdStart(),
  stores: () => benchStores(),
  google: async () => [...(await benchGoogleRestart(50)), ...(await benchGoogleCosts())],
  google500: () => benchGoogleRestart(500),
  set: () => benchSet(),
  messages: () => benchMessages(),
  rehydrate: async () => [...(await benchRehydrate(1)), ...(await benchRehydrate(20))],
}

const program = new Command('bench')
  .description(
    'Measures the figures of docs/design/promises.md §11 on this machine and prints them beside their goals.',
  )
  .argument('[names...]', `which ones; all without. One of: ${Object.keys(BENCHES).join(', ')}`)
  .action(async (names: string[]) => {
    const unknown = names.filter((name) => !(name in BENCHES))
    if (unknown.length > 0)
      program.error(`no such benchmark: ${unknown.join(', ')}; there are: ${Object.keys(BENCHES).join(', ')}`)
    const figures: Figure[] = []
    for (const [name, bench] of Object.entries(BENCHES)) {
      if (names.length > 0 && !names.includes(name)) continue
      process.stderr.write(`measuring ${name} …\n`)
      figures.push(...(await bench()))
    }
    process.stdout.write(`${table(figures)}\n`)
  })

await program.parseAsync()
