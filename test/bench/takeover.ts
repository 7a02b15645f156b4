import { join } from 'node:path'
import { systemClock } from '#shared/clock.ts'
import { openGoogleStores } from '#shared/google/open.ts'
import { systemRandom } from '#shared/random.ts'
import { freshOptions, INBOUND, KEY, skipReason, startCloud } from '../cloud/google-subject.ts'
import { whatsappAdmin, type WhatsAppAdmin } from '../whatsapp/client.ts'
import type { SeededSession } from '../whatsapp/seed.ts'
import { prepareDataDir, prepareStores } from './prepare.ts'
import { startMooring, startStandIn, withTempDir, type Program } from './processes.ts'
import { percentile, type Figure } from './report.ts'

/** At most the lease (10 s) and a second (docs/design/promises.md §11). */
const GOAL = '≤ 11 s (+ connect)'
const WITHIN_MS = 60_000
const PRE_KEYS = 100

/** Prepares the stores with these sessions, and says how a process is told of them. */
type Prepare = (seeded: readonly SeededSession[], dir: string) => Promise<Record<string, string>>

/**
 * SIGKILL of the runner that holds all sessions while another one stands by, with the default lease times: where the
 * operating system proves it dead, and where its lease has to run out.
 */
export async function benchTakeover(sessions: number): Promise<readonly Figure[]> {
  const embedded = await measure(
    `takeover of ${sessions}, embedded: the system proves it`,
    sessions,
    async (seeded, dir) => {
      await prepareDataDir(join(dir, 'data'), seeded)
      return {}
    },
  )
  if (skipReason !== undefined) return [embedded]
  const cloud = await startCloud()
  try {
    // A project of its own instead of a namespace, since processes have no setting for that.
    const options = {
      ...freshOptions(cloud),
      project: `takeover-${systemRandom.id().toLowerCase()}`,
      namespace: undefined,
    }
    const google = await measure(
      `takeover of ${sessions}, google: the lease runs out`,
      sessions,
      async (seeded, dir) => {
        const stores = await openGoogleStores(options)
        await prepareStores(stores, seeded, join(dir, 'preparation'))
        await stores.close()
        return {
          MOORING_STORE: 'google',
          GOOGLE_CLOUD_PROJECT: options.project,
          MOORING_BUCKET: options.bucket,
          MOORING_KMS_KEY: KEY,
          ...INBOUND,
          MOORING_KMS_ENDPOINT: cloud.kms.endpoint,
          FIRESTORE_EMULATOR_HOST: cloud.emulator.host,
          STORAGE_EMULATOR_HOST: cloud.storage.url,
          METADATA_SERVER_DETECTION: 'none',
        }
      },
    )
    return [embedded, google]
  } finally {
    await cloud.close()
  }
}

async function measure(name: string, sessions: number, prepare: Prepare): Promise<Figure> {
  return withTempDir(async (dir) => {
    const standIn = await startStandIn()
    const running: Program[] = []
    try {
      const admin = whatsappAdmin(standIn.adminUrl)
      const seeded = await admin.seed({ count: sessions, preKeys: PRE_KEYS })
      const env = await prepare(seeded, dir)
      const start = (work: string): Program => {
        const at = { dataDir: join(dir, 'data'), workDir: join(dir, work), url: standIn.url }
        const program = startMooring(at, {
          ...env,
          MOORING_ROLE: 'runner',
          MOORING_REBALANCE_PER_MINUTE: '0',
        })
        running.push(program)
        return program
      }
      const victim = start('work-1')
      await allOpen(admin, sessions)
      const heir = start('work-2')
      await heir.line(({ message }) => message === 'runner started')
      await admin.resetReport()
      const killedAtMs = systemClock.nowMs()
      await victim.kill('SIGKILL')
      await allLoggedIn(admin, seeded)
      const report = await admin.report()
      const gaps = seeded.flatMap(({ jid }) => report.devices[jid]?.gapsMs ?? [])
      const claimed = heir.lines
        .filter(({ message }) => message === 'session taken over')
        .map(({ time }) => Date.parse(String(time)) - killedAtMs)
      return {
        name,
        value: `claimed after at most ${seconds(Math.max(...claimed))}, connected p50 ${seconds(percentile(gaps, 0.5))}, at most ${seconds(Math.max(...gaps))}`,
        goal: GOAL,
        note: `${claimed.length} taken over, ${report.totals.replaced} × 440, ${report.totals.retries} retry receipts`,
      }
    } finally {
      for (const program of running) await program.kill('SIGKILL')
      await standIn.program.kill('SIGTERM')
    }
  })
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`

const allOpen = (admin: WhatsAppAdmin, sessions: number): Promise<void> =>
  until('every session connected', async () => (await admin.report()).totals.openConnections === sessions)

const allLoggedIn = (admin: WhatsAppAdmin, seeded: readonly SeededSession[]): Promise<void> =>
  until('every session connected again', async () => {
    const { devices } = await admin.report()
    return seeded.every(({ jid }) => devices[jid]?.logins === 1 && devices[jid].open === 1)
  })

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const endMs = systemClock.monotonicMs() + WITHIN_MS
  while (!(await holds())) {
    if (systemClock.monotonicMs() > endMs) throw new Error(`${what} not within ${WITHIN_MS} ms`)
    await systemClock.sleep(50)
  }
}
