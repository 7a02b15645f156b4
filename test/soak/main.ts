import { Command, InvalidArgumentError } from 'commander'
import { install, type Installation } from '../e2e/installation.ts'
import { startWhatsApp } from '../e2e/whatsapp-process.ts'
import { violations } from './judge.ts'
import { soak } from './soak.ts'
import { openSetting, STORES, type StoreName } from './setting.ts'

const wholeNumber = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('must be a whole number.')
  return Number(text)
}

const program = new Command('soak')
  .description(
    'Kills Mooring again and again under two-way traffic, its disk wiped every second time, against the WhatsApp ' +
      'stand-in. Ends with 1 when a text was lost or doubled, a QR was asked for, or a peer needed a retry. ' +
      'Ctrl-C ends it early, and what was done so far is judged.',
  )
  .option('--kills <count>', 'how many SIGKILLs', wholeNumber, 200)
  .option('--seed <number>', 'decides who writes when, and when the kill comes', wholeNumber)
  .option('--sessions <count>', 'sessions that correspond at the same time', wholeNumber, 2)
  .option('--store <name>', `one of: ${STORES.join(', ')}`, parseStore, 'embedded')
  .action(run)

await program.parseAsync()

interface Ask {
  kills: number
  seed?: number
  sessions: number
  store: StoreName
}

async function run({ kills, seed = Date.now() % 1_000_000, sessions, store }: Ask): Promise<void> {
  console.log(`seed ${seed}`)
  const startedMs = performance.now()
  const seconds = (): string => ((performance.now() - startedMs) / 1000).toFixed(0)
  const early = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => early.abort())
  await using setting = await openSetting(store)
  const standIn = await startWhatsApp()
  let installation: Installation | undefined
  let numbers = 0
  try {
    installation = await install({ whatsappUrl: standIn.url, env: setting.env })
    const figures = await soak({
      kills,
      seed,
      sessions,
      whatsapp: standIn.admin,
      installation,
      signal: early.signal,
      newNumber: () => `49151${String(++numbers).padStart(8, '0')}`,
      progress: async (done, texts) => {
        const { totals } = await standIn.admin.report()
        console.log(`${done}/${kills} kills, ${texts} texts, ${totals.retries} retries, ${seconds()} s`)
      },
    })
    for (const [name, value] of Object.entries(figures)) console.log(`${name.padEnd(16)}${value}`)
    const wrong = violations(figures)
    console.log(
      wrong.length === 0 ? `as promised, in ${seconds()} s` : `NOT as promised: ${wrong.join(', ')}`,
    )
    process.exitCode = wrong.length === 0 ? 0 : 1
  } finally {
    await installation?.close()
    await standIn.child.end('SIGTERM')
  }
}

function parseStore(text: string): StoreName {
  const found = STORES.find((name) => name === text)
  if (!found) throw new InvalidArgumentError(`must be one of: ${STORES.join(', ')}.`)
  return found
}
