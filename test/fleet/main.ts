import { Command, InvalidArgumentError } from 'commander'
import { startVitest } from 'vitest/node'
import { FULL_SIZE, SIZE_VARIABLE, type FleetSize } from './size.ts'

const STORES = ['embedded', 'google'] as const
const PARTS = { restarts: 'rolling restarts', kills: 'is killed', churn: 'come again' } as const

const positive = (text: string): number => {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('must be a whole number from 1 on.')
  return Number(text)
}
const oneOf =
  <T extends string>(names: readonly T[]) =>
  (text: string): T => {
    const found = names.find((name) => name === text)
    if (found === undefined) throw new InvalidArgumentError(`must be one of: ${names.join(', ')}.`)
    return found
  }

/** Of one test. */
const WITHIN_MS = 1_800_000

interface Ask extends FleetSize {
  store?: (typeof STORES)[number]
  only?: keyof typeof PARTS
}

/** `npm run fleet`: rolling.test.ts and churn.test.ts at the size that is promised instead of the size that every run of the tests can afford. */
const ask = new Command('npm run fleet --')
  .description(
    'Restarts and kills a fleet of runner processes under traffic, again and again, also while sessions come and go, and lets the WhatsApp stand-in judge: ' +
      'no 440, never two connections of a device, no text lost, no retry receipt. Takes a minute and a half on the embedded stores and seven minutes on the emulator.',
  )
  .option('--store <name>', `one of: ${STORES.join(', ')} (default: both)`, oneOf(STORES))
  .option('--only <part>', `one of: ${Object.keys(PARTS).join(', ')} (default: all)`, oneOf(keysOf(PARTS)))
  .option('--sessions <count>', 'paired sessions', positive, FULL_SIZE.sessions)
  .option('--runners <count>', 'processes at a time', positive, FULL_SIZE.runners)
  .option('--restarts <count>', 'rolling restarts in a row', positive, FULL_SIZE.restarts)
  .option('--kills <count>', 'SIGKILLs, one after the other', positive, FULL_SIZE.kills)
  .option('--churning <count>', 'names that come, go and come again', positive, FULL_SIZE.churning)
  .option('--settled <count>', 'paired sessions beside them', positive, FULL_SIZE.settled)
  .option(
    '--churn-ends <count>',
    'runners that end meanwhile, by turns in order and by SIGKILL',
    positive,
    FULL_SIZE.churnEnds,
  )
  .parse()
  .opts<Ask>()

const { store = '', only, ...size } = ask
process.env[SIZE_VARIABLE] = JSON.stringify(size)
const vitest = await startVitest('test', ['test/fleet/rolling.test.ts', 'test/fleet/churn.test.ts'], {
  run: true,
  project: 'world',
  testTimeout: WITHIN_MS,
  testNamePattern: `^${store}.*${only === undefined ? '' : PARTS[only]}`,
})
await vitest.close()

function keysOf<T extends string>(of: Readonly<Record<T, unknown>>): readonly T[] {
  return Object.keys(of) as T[]
}
