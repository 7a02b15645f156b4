import { join } from 'node:path'
import { whatsappAdmin, type WhatsAppAdmin } from '../whatsapp/client.ts'
import { prepareDataDir } from './prepare.ts'
import { startMooring, startStandIn, withTempDir, type Program } from './processes.ts'
import { percentile, type Figure } from './report.ts'

const started = (line: Record<string, unknown>): boolean => line['message'] === 'runner started'
const restored = (line: Record<string, unknown>): boolean => line['message'] === 'sessions restored'

/** Rolling restarts under traffic: a new runner up, the old one SIGTERM, as often as asked; the stand-in is the judge. */
export async function benchHandOver(sessions: number, restarts: number): Promise<readonly Figure[]> {
  return withTempDir(async (dir) => {
    const standIn = await startStandIn()
    const running: Program[] = []
    let traffic: Traffic | undefined
    try {
      const admin = whatsappAdmin(standIn.adminUrl)
      const seeded = await admin.seed({ count: sessions, preKeys: 100 })
      const at = { dataDir: join(dir, 'data'), workDir: join(dir, 'work'), url: standIn.url }
      await prepareDataDir(at.dataDir, seeded)
      let old = startMooring(at)
      running.push(old)
      await old.line(restored)
      await admin.resetReport()
      traffic = keepTexting(
        admin,
        seeded.map((one) => one.phone),
      )
      const drains: number[] = []
      for (let round = 0; round < restarts; round++) {
        const next = startMooring({ ...at, workDir: join(dir, `work${round}`) }, { MOORING_ROLE: 'runner' })
        running.push(next)
        await next.line(started)
        drains.push(await old.kill('SIGTERM'))
        await until(
          'every session connected',
          async () => (await admin.report()).totals.openConnections === sessions,
          15_000,
        )
        old = next
      }
      const sent = await traffic.stop()
      await until(
        'every queue empty',
        async () => {
          const { devices } = await admin.report()
          return seeded.every(({ jid }) => devices[jid]?.queued === 0)
        },
        15_000,
      )
      const report = await admin.report()
      const devices = seeded.map(({ jid }) => report.devices[jid])
      const gaps = devices.flatMap((device) => device?.gapsMs ?? [])
      const openMax = Math.max(...devices.map((device) => device?.openMax ?? 0))
      const retries = devices.reduce((sum, device) => sum + (device?.retriesSent ?? 0), 0)
      return [
        {
          name: `rolling restart ×${restarts}, ${sessions} sessions: gap without a socket`,
          value: `p50 ${percentile(gaps, 0.5).toFixed(0)} ms, p99 ${percentile(gaps, 0.99).toFixed(0)} ms`,
          goal: 'p50 < 150 ms, p99 < 500 ms',
          note: `${gaps.length} gaps, ${report.totals.replaced} × 440, at most ${openMax} connection a device, ${retries} retry receipts, ${sent} texts`,
        },
        {
          name: `drain of ${sessions} after SIGTERM`,
          value: `${(percentile(drains, 0.5) / 1000).toFixed(2)} s`,
          goal: sessions >= 500 ? '< 8 s' : '–',
          note: 'SIGTERM → exit',
        },
      ]
    } finally {
      await traffic?.stop()
      for (const program of running) await program.kill('SIGKILL')
      await standIn.program.kill('SIGTERM')
    }
  })
}

interface Traffic {
  /** Answers how many texts were sent. Stopping twice is harmless. */
  stop: () => Promise<number>
}

/** A peer that writes to one session after the other, twenty texts a second. */
function keepTexting(admin: WhatsAppAdmin, phones: readonly string[]): Traffic {
  let on = true
  let sent = 0
  const work = (async () => {
    await admin.phone('491700000000')
    while (on) {
      const to = phones[sent % phones.length] ?? ''
      await admin.send('491700000000', { to, text: `text ${sent++}` })
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })()
  return {
    stop: async () => {
      on = false
      await work
      return sent
    },
  }
}

async function until(what: string, holds: () => Promise<boolean>, withinMs: number): Promise<void> {
  const endMs = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`${what} not within ${withinMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
