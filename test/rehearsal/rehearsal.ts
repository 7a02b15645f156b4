import { join } from 'node:path'
import { systemClock } from '#shared/clock.ts'
import { readConfig } from '#shared/config.ts'
import { openStores } from '#shared/open-stores.ts'
import { systemRandom } from '#shared/random.ts'
import { prepareStores, TENANT } from '../bench/prepare.ts'
import { KEY, startStandIn, withTempDir } from '../bench/processes.ts'
import { cloudEnvironment } from '../cloud/environment.ts'
import { startCloud } from '../cloud/google-subject.ts'
import { mooringApi } from '../e2e/api.ts'
import { eventually } from '../e2e/eventually.ts'
import { whatsappAdmin } from '../whatsapp/client.ts'
import { KILL_AFTER_MS, startRevision, stopRevision, type Revision } from './revision.ts'
import { startTraffic, type Tally } from './traffic.ts'

export interface RehearsalOptions {
  sessions: number
  runners: number
  deploys: number
  say: (line: string) => void
}

export interface Rehearsal extends Tally {
  /** Milliseconds that a session was without a socket, one for each session and deploy. */
  gapsMs: readonly number[]
  /** Times at which the server saw a second connection of one device: 440. */
  conflicts: number
  openMax: number
  retryReceipts: number
  /** The slowest end after SIGTERM, and how many had to be killed. */
  slowestStopMs: number
  killed: number
}

const CONNECTED_WITHIN_MS = 60_000
const PRE_KEYS = 100

/**
 * Plays the part of Cloud Run in a rolling deploy, as often as asked, over the stores of Google Cloud and under traffic: the
 * new revision's processes start, each must be ready, then the old ones get SIGTERM, and SIGKILL ten seconds later.
 */
export async function rehearse(options: RehearsalOptions): Promise<Rehearsal> {
  const { sessions, runners, deploys, say } = options
  return withTempDir(async (dir) => {
    const [cloud, standIn] = await Promise.all([startCloud(), startStandIn()])
    const running: Revision[] = []
    const admin = whatsappAdmin(standIn.adminUrl)
    const env = cloudEnvironment(cloud)
    const apiOf = (revision: Revision) => mooringApi({ url: revision.url, key: KEY, tenant: TENANT })
    const start = async (index: number): Promise<Revision> => {
      const name = `revision-${index}`
      const revision = await startRevision({ name, runners, dir, whatsappUrl: standIn.url, env })
      running.push(revision)
      say(`${name}: 1 control, ${runners} runners, ready`)
      return revision
    }
    try {
      const seeded = await admin.seed({ count: sessions, preKeys: PRE_KEYS })
      const config = readConfig({ ...env, MOORING_ADMIN_KEY: KEY })
      const stores = await openStores(config, { clock: systemClock, random: systemRandom })
      await prepareStores(stores, seeded, join(dir, 'preparation'))
      await stores.close()
      const devices = seeded.map(({ phone, jid }, at) => ({ session: `s${at}`, phone, jid }))
      const allConnected = () =>
        eventually(
          'every session connected',
          async () => (await admin.report()).totals.openConnections,
          (open) => open === sessions,
          CONNECTED_WITHIN_MS,
        )

      let old = await start(0)
      await allConnected()
      await admin.resetReport()
      const traffic = await startTraffic(admin, devices, apiOf(old))
      const stops = []
      for (let deploy = 1; deploy <= deploys; deploy++) {
        const next = await start(deploy)
        traffic.sendBy(apiOf(next))
        const stopped = await stopRevision(old)
        const slowest = Math.max(...stopped.map(({ tookMs }) => tookMs))
        say(`${old.name}: ended, the slowest ${slowest.toFixed(0)} ms after SIGTERM`)
        stops.push(...stopped)
        await allConnected()
        old = next
      }
      const tally = await traffic.stop()
      const report = await admin.report()
      const seen = devices.map(({ jid }) => report.devices[jid])
      return {
        ...tally,
        gapsMs: seen.flatMap((device) => device?.gapsMs ?? []),
        conflicts: report.totals.replaced,
        openMax: Math.max(...seen.map((device) => device?.openMax ?? 0)),
        retryReceipts: report.retries.length,
        slowestStopMs: Math.max(...stops.map(({ tookMs }) => tookMs)),
        killed: stops.filter(({ killed }) => killed).length,
      }
    } finally {
      await Promise.all(running.flatMap(({ programs }) => programs.map((program) => program.kill('SIGKILL'))))
      await Promise.all([standIn.program.kill('SIGTERM'), cloud.close()])
    }
  })
}

/** What must not happen, as sentences; an empty list when nothing did. */
export function complaintsOf(rehearsal: Rehearsal): string[] {
  const { conflicts, openMax, lost, doubled, retryReceipts, killed } = rehearsal
  return [
    conflicts > 0 ? `${conflicts} × 440: two processes spoke for one number` : '',
    openMax > 1 ? `${openMax} connections of one device at the same time` : '',
    lost.length > 0 ? `${lost.length} texts lost: ${lost.slice(0, 5).join('; ')}` : '',
    doubled.length > 0 ? `${doubled.length} texts doubled: ${doubled.slice(0, 5).join('; ')}` : '',
    retryReceipts > 0 ? `${retryReceipts} retry receipts: something could not be decrypted` : '',
    killed > 0 ? `${killed} processes had to be killed after ${KILL_AFTER_MS} ms` : '',
  ].filter((sentence) => sentence !== '')
}
