import { join } from 'node:path'
import { systemClock } from '#shared/clock.ts'
import { readConfig } from '#shared/config.ts'
import { openStores } from '#shared/open-stores.ts'
import { systemRandom } from '#shared/random.ts'
import { cloudEnvironment } from '../cloud/environment.ts'
import { skipReason, startCloud } from '../cloud/google-subject.ts'
import { mooringApi, type Api } from '../e2e/api.ts'
import { eventually } from '../e2e/eventually.ts'
import { whatsappAdmin, type WhatsAppAdmin } from '../whatsapp/client.ts'
import type { SeededSession } from '../whatsapp/seed.ts'
import { billOf, callsOf, difference, quietBill, sum } from './billed.ts'
import { prepareDataDir, prepareStores, TENANT } from './prepare.ts'
import { KEY, startMooring, startStandIn, withTempDir, type Program } from './processes.ts'
import type { Figure } from './report.ts'

const PRE_KEYS = 100
const RESTORED_WITHIN_MS = 300_000
/** What a runner is billed for whatever its sessions do. */
const RUNNERS_OWN = ['renew a lease', 'look at the runners', 'ask for the time', 'watch runners']
const FULL_PASS = [
  'scan sessions',
  'scan owners',
  'read the waiting messages',
  'read the sessions with open jobs',
]
const SKIPPED: Figure = {
  name: 'the stores of Google Cloud',
  value: 'skipped',
  goal: '–',
  note: skipReason ?? '',
}

interface Place {
  admin: WhatsAppAdmin
  seeded: readonly SeededSession[]
  start: (role: 'runner' | 'control', more?: Record<string, string>) => Program
  /** A runner of the same sessions on the embedded stores: making 500 anew takes the stand-in minutes. */
  startEmbedded: () => Promise<Program>
}

/** The emulator and a stand-in with so many paired sessions; everything is taken down behind the work. */
async function withSessions<T>(sessions: number, work: (place: Place) => Promise<T>): Promise<T> {
  return withTempDir(async (dir) => {
    const [cloud, standIn] = await Promise.all([startCloud(), startStandIn()])
    const programs: Program[] = []
    try {
      const admin = whatsappAdmin(standIn.adminUrl)
      const env = cloudEnvironment(cloud)
      const seeded = await admin.seed({ count: sessions, preKeys: PRE_KEYS })
      const stores = await openStores(readConfig({ ...env, MOORING_ADMIN_KEY: KEY }), {
        clock: systemClock,
        random: systemRandom,
      })
      await prepareStores(stores, seeded, join(dir, 'preparation'))
      await stores.close()
      // Each with an empty disk of its own.
      const start: Place['start'] = (role, more) => {
        const workDir = join(dir, `work-${programs.length}`)
        const at = { dataDir: join(dir, 'data'), workDir, url: standIn.url }
        const program = startMooring(at, {
          ...env,
          MOORING_ROLE: role,
          ...(role === 'control' && { MOORING_INBOUND_IDENTITY: '' }),
          ...more,
        })
        programs.push(program)
        return program
      }
      const startEmbedded: Place['startEmbedded'] = async () => {
        const at = { dataDir: join(dir, 'data'), workDir: join(dir, 'work'), url: standIn.url }
        await prepareDataDir(at.dataDir, seeded)
        const program = startMooring(at, { MOORING_ROLE: 'runner' })
        programs.push(program)
        return program
      }
      return await work({ admin, seeded, start, startEmbedded })
    } finally {
      await Promise.all(programs.map((program) => program.kill('SIGKILL')))
      await Promise.all([standIn.program.kill('SIGTERM'), cloud.close()])
    }
  })
}

/** The same restart on both sets of stores in one run; and what it is billed for. */
export async function benchGoogleRestart(sessions: number): Promise<readonly Figure[]> {
  if (skipReason !== undefined) return [SKIPPED]
  return withSessions(sessions, async ({ start, startEmbedded }) => {
    const restored = (runner: Program) =>
      runner.line((one) => one.message === 'sessions restored', RESTORED_WITHIN_MS)
    const embedded = await startEmbedded()
    const { ms: embeddedMs } = await restored(embedded)
    await embedded.kill('SIGKILL')
    const runner = start('runner')
    const { line, ms } = await restored(runner)
    const bill = await quietBill(runner, RUNNERS_OWN)
    const each = (kind: Parameters<typeof sum>[1]): string =>
      (sum(bill, kind, RUNNERS_OWN) / sessions).toFixed(1)
    return [
      {
        name: `restart of ${sessions} on an empty disk: embedded | google (emulator)`,
        value: `${(embeddedMs / 1000).toFixed(2)} s | ${(ms / 1000).toFixed(2)} s`,
        goal: '–',
        note: `${String(line['restored'])} restored, ${String(line['failed'])} failed; the emulator is one JVM on the same two cores`,
      },
      {
        name: `billed per session of a restart of ${sessions}`,
        value: `${each('reads')} reads, ${each('writes')} writes`,
        goal: '–',
        note: `${each('deletes')} deletes, ${each('keyCalls')} KMS, ${each('objectReads')} objects read; reads: ${callsOf(bill, 'reads', sessions, RUNNERS_OWN)}; writes: ${callsOf(bill, 'writes', sessions, RUNNERS_OWN)}`,
      },
    ]
  })
}

const IDLE_SESSIONS = 20
const IDLE_MS = 30_000
const TEXTS = 200
const TEXT_EVERY_MS = 60
const PEER = '491700000000'
const RESYNC_DEFAULT_MS = 120_000
/** Longer than a measurement. */
const RESYNC_NEVER_MS = 3_600_000

/** What a message and an hour of rest are billed for, counted where the calls are sent. */
export async function benchGoogleCosts(): Promise<readonly Figure[]> {
  if (skipReason !== undefined) return [SKIPPED]
  return withSessions(IDLE_SESSIONS, async ({ admin, seeded, start }) => {
    const idle = [...(await atRest(start)), await pairAtRest(start)]
    const control = start('control')
    const runner = start('runner', { MOORING_RESYNC_EVERY_MS: String(RESYNC_NEVER_MS) })
    await runner.line((one) => one.message === 'sessions restored', RESTORED_WITHIN_MS)
    const { line } = await control.line((one) => one.message === 'listening')
    const url = `http://127.0.0.1:${Number(line['port'])}`
    const operator = mooringApi({ url, key: KEY, tenant: TENANT })
    // As a customer sends: with a key of its own.
    const asked = { name: 'bench', scopes: ['send'], tenant: TENANT }
    const { key } = await operator.call<{ key: string }>('POST', '/v1/keys', asked)
    const api = mooringApi({ url, key, tenant: TENANT })
    const received = await billed([runner], () => receive(admin, seeded))
    const sent = await billed([runner, control], () => send(admin, api))
    return [...idle, ...perMessage('received', received), ...perMessage('sent', sent)]
  })
}

async function atRest(start: Place['start']): Promise<Figure[]> {
  const runner = start('runner', { MOORING_RESYNC_EVERY_MS: '3000', MOORING_LOG_LEVEL: 'debug' })
  await runner.line((one) => one.message === 'sessions restored', RESTORED_WITHIN_MS)
  const passes = (): number => runner.lines.filter(({ message }) => message === 'full pass').length
  await quietBill(runner, [...RUNNERS_OWN, ...FULL_PASS])
  const [before, passesBefore, startMs] = [await billOf(runner), passes(), performance.now()]
  await systemClock.sleep(IDLE_MS)
  const bill = difference(await billOf(runner), before)
  const [ran, seconds] = [passes() - passesBefore, (performance.now() - startMs) / 1000]
  const rest = sum(bill, 'reads', [...RUNNERS_OWN, ...FULL_PASS])
  const pass = (sum(bill, 'reads', RUNNERS_OWN) - rest) / ran / IDLE_SESSIONS
  const writes = sum(bill, 'writes', RUNNERS_OWN)
  const own = (kind: 'reads' | 'writes'): string =>
    (((sum(bill, kind) - sum(bill, kind, RUNNERS_OWN)) * 3600) / seconds).toFixed(0)
  await runner.kill('SIGTERM')
  const perHour = (3_600_000 / RESYNC_DEFAULT_MS) * pass
  return [
    {
      name: 'billed per idle session-hour',
      value: `${perHour.toFixed(1)} reads, ${((writes / seconds / IDLE_SESSIONS) * 3600).toFixed(1)} writes`,
      goal: '–',
      note: `${pass.toFixed(2)} reads a session and full pass (${ran} counted), one every ${RESYNC_DEFAULT_MS / 1000} s; ${rest} other reads`,
    },
    {
      name: 'billed per idle runner-hour',
      value: `${own('reads')} reads, ${own('writes')} writes`,
      goal: '–',
      note: `alone in its fleet; reads: ${callsOf(bill, 'reads', seconds / 3600, FULL_PASS)}; writes: ${callsOf(bill, 'writes', seconds / 3600)}`,
    },
  ]
}

/** What one of two runners is billed for while nothing happens: its own lease, and its looks at both. */
async function pairAtRest(start: Place['start']): Promise<Figure> {
  const env = { MOORING_RESYNC_EVERY_MS: String(RESYNC_NEVER_MS), MOORING_REBALANCE_PER_MINUTE: '0' }
  const pair = [start('runner', env), start('runner', env)]
  for (const runner of pair)
    await runner.line((one) => one.message === 'sessions restored', RESTORED_WITHIN_MS)
  const before = await Promise.all(pair.map((runner) => quietBill(runner, RUNNERS_OWN)))
  const startMs = performance.now()
  await systemClock.sleep(IDLE_MS)
  const after = await Promise.all(pair.map((runner) => billOf(runner)))
  const hours = (performance.now() - startMs) / 3_600_000
  const bills = after.map((bill, at) => difference(bill, before[at] ?? new Map()))
  const own = (kind: 'reads' | 'writes'): string => {
    const total = bills.reduce((count, bill) => count + sum(bill, kind) - sum(bill, kind, RUNNERS_OWN), 0)
    return (total / pair.length / hours).toFixed(0)
  }
  await Promise.all(pair.map((runner) => runner.kill('SIGTERM')))
  return {
    name: 'billed per idle runner-hour, one of two',
    value: `${own('reads')} reads, ${own('writes')} writes`,
    goal: '–',
    note: bills.map((bill) => callsOf(bill, 'reads', hours)).join(' | '),
  }
}

/** The bill of all of them together for some work, without what they are billed for all the time. */
async function billed(
  programs: readonly Program[],
  work: () => Promise<void>,
): Promise<ReadonlyMap<string, number>> {
  const quiet = () => Promise.all(programs.map((program) => quietBill(program, RUNNERS_OWN)))
  const before = await quiet()
  await work()
  const total = new Map<string, number>()
  for (const [index, after] of (await quiet()).entries()) {
    for (const [name, count] of difference(after, before[index] ?? new Map()))
      if (!RUNNERS_OWN.some((call) => name.endsWith(call))) total.set(name, (total.get(name) ?? 0) + count)
  }
  return total
}

async function receive(admin: WhatsAppAdmin, seeded: readonly SeededSession[]): Promise<void> {
  await admin.phone(PEER)
  for (let count = 0; count < TEXTS; count++) {
    await admin.send(PEER, { to: seeded[count % seeded.length]?.phone ?? '', text: `in ${count}` })
    await systemClock.sleep(TEXT_EVERY_MS)
  }
  await eventually(
    'every queue to be empty',
    async () => (await admin.report()).totals.queued,
    (queued) => queued === 0,
  )
}

async function send(admin: WhatsAppAdmin, api: Api): Promise<void> {
  for (let count = 0; count < TEXTS; count++) {
    await api.send(`s${count % IDLE_SESSIONS}`, PEER, `out ${count}`)
    await systemClock.sleep(TEXT_EVERY_MS)
  }
  await eventually(
    'every text at the peer',
    async () => (await admin.messages(PEER)).length,
    (there) => there === TEXTS,
    60_000,
  )
}

const perMessage = (what: string, bill: ReadonlyMap<string, number>): Figure[] => [
  {
    name: `billed per message ${what}`,
    value: `${(sum(bill, 'reads') / TEXTS).toFixed(2)} reads, ${(sum(bill, 'writes') / TEXTS).toFixed(2)} writes`,
    goal: '–',
    note: `${(sum(bill, 'deletes') / TEXTS).toFixed(2)} deletes; reads: ${callsOf(bill, 'reads', TEXTS)}; writes: ${callsOf(bill, 'writes', TEXTS)}`,
  },
]
