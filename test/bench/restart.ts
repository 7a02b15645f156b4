import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { whatsappAdmin } from '../whatsapp/client.ts'
import { prepareDataDir } from './prepare.ts'
import { Program, startMooring, startStandIn, withTempDir } from './processes.ts'
import { median, type Figure } from './report.ts'

/** What rc14 uploads at the first login. */
const RC14_PRE_KEYS = 812

const restored = (line: Record<string, unknown>): boolean => line['message'] === 'sessions restored'

async function measure(program: Program): Promise<{ ms: number; failed: number; restored: number }> {
  const { line, ms } = await program.line(restored, 180_000)
  return { ms, failed: Number(line['failed']), restored: Number(line['restored']) }
}

/** Process start → all connected, on an empty disk; then SIGKILL → all connected again; then memory at rest. */
export async function benchRestart(sessions: number, rounds: number): Promise<readonly Figure[]> {
  return withTempDir(async (dir) => {
    const standIn = await startStandIn()
    try {
      const admin = whatsappAdmin(standIn.adminUrl)
      const at = { dataDir: join(dir, 'data'), workDir: join(dir, 'work'), url: standIn.url }
      await prepareDataDir(
        at.dataDir,
        await admin.seed({ count: sessions, preKeys: sessions > 200 ? 100 : RC14_PRE_KEYS }),
      )
      const empty: number[] = []
      const cpu: number[] = []
      const afterKill: number[] = []
      let failed = 0
      let rssMiB = 0
      for (let round = 0; round < rounds; round++) {
        await rm(at.workDir, { recursive: true, force: true })
        const first = startMooring(at)
        const cold = await measure(first)
        empty.push(cold.ms)
        cpu.push((await first.usage()).cpuMs)
        failed += sessions - cold.restored
        if (round === rounds - 1) rssMiB = await rssAtRest(first)
        const killedMs = performance.now()
        await first.kill('SIGKILL')
        const second = startMooring(at)
        await measure(second)
        afterKill.push(performance.now() - killedMs)
        await second.kill('SIGTERM')
      }
      const base = await baseRss(dir)
      // Below some hundred sessions the figure is mostly what the first ones leave uncollected.
      const memory =
        sessions < 200 ? [] : [await memoryFigure(dir, standIn, sessions, (rssMiB - base) / sessions)]
      const report = await admin.report()
      const goal = { 50: '< 2 s', 200: '< 6 s', 1000: '< 30 s' }[sessions] ?? '–'
      return [
        {
          name: `restart of ${sessions} on an empty disk`,
          value: `${(median(empty) / 1000).toFixed(2)} s`,
          goal,
          note: `CPU ${(median(cpu) / 1000).toFixed(2)} s, ${failed} not restored, ×${rounds}`,
        },
        {
          name: `SIGKILL → ${sessions} connected again`,
          value: `${(median(afterKill) / 1000).toFixed(2)} s`,
          goal: sessions === 50 ? '< 2.5 s' : '–',
          note: `440s: ${report.totals.replaced}`,
        },
        ...memory,
      ]
    } finally {
      await standIn.program.kill('SIGTERM')
    }
  })
}

/** Each way's memory beyond the same process without sessions, divided by the sessions; on the same machine in the same run. */
async function memoryFigure(
  dir: string,
  standIn: { url: string; adminUrl: string },
  sessions: number,
  oursMiB: number,
): Promise<Figure> {
  const folders = join(dir, 'bare')
  // Their pre-keys stay in files; fewer of them make the preparation shorter and nothing else.
  await whatsappAdmin(standIn.adminUrl).seed({ count: sessions, preKeys: 30, prefix: '4930', dir: folders })
  const none = join(dir, 'bare-none')
  await mkdir(none)
  const baseMiB = await bareRss(standIn.url, none)
  const bareMiB = ((await bareRss(standIn.url, folders)) - baseMiB) / sessions
  return {
    name: `RSS per idle session (${sessions})`,
    value: `${oursMiB.toFixed(2)} MiB, ${(oursMiB / bareMiB).toFixed(2)} × a bare Baileys socket`,
    goal: '≤ 0.9 MB, ≤ 1.2 ×',
    note: `a bare socket with its state in files: ${bareMiB.toFixed(2)} MiB`,
  }
}

async function bareRss(url: string, folders: string): Promise<number> {
  const program = new Program([
    '--import',
    './test/whatsapp/trust.ts',
    'test/bench/bare-sockets.ts',
    url,
    folders,
  ])
  await program.line((line) => line.message === 'sockets open')
  const rssMiB = await rssAtRest(program)
  await program.kill('SIGKILL')
  return rssMiB
}

/** What the comparison measured: 12 s after the last open, no forced collection. */
async function rssAtRest(program: Program): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 12_000))
  return (await program.usage()).rssMiB
}

async function baseRss(dir: string): Promise<number> {
  const program = startMooring({
    dataDir: join(dir, 'none'),
    workDir: join(dir, 'none-work'),
    url: 'ws://127.0.0.1:9',
  })
  await measure(program)
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  const { rssMiB } = await program.usage()
  await program.kill('SIGTERM')
  return rssMiB
}
