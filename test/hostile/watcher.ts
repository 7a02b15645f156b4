import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startChild } from '#test/e2e/child.ts'
import { eventually } from '#test/e2e/eventually.ts'
import { beatsOf, worstPauseMs, type Beat } from './pauses.ts'

/** How often memory is looked at: as often as the product itself looks at a child that reads an import. */
const LOOK_EVERY_MS = 100

interface Watched {
  /** What the failure calls it. */
  readonly name: string
  readonly pid: number
}

/** What one process did while it was watched. */
interface Seen {
  readonly name: string
  readonly alive: boolean
  /** The longest pause of its event loop beyond that of an idle process beside it. */
  readonly pauseMs: number
  /** The most memory that it and its children held at one time. */
  readonly mostMib: number
}

export interface Watcher {
  /** Settings for whatever is to be watched. */
  readonly env: Readonly<Record<string, string>>
  /** Begins; what it answers ends it, and waits until every loop has turned once more. */
  watch(processes: readonly Watched[]): Promise<() => Promise<Seen[]>>
  close(): Promise<void>
}

/** Watches processes from outside, with an idle one beside them that has the same preload. */
export async function startWatcher(): Promise<Watcher> {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-watch-'))
  const env = { WATCH_DIR: dir, NODE_OPTIONS: '--import=./test/hostile/loop-watch.ts' }
  const idle = startChild(['test/hostile/idle.ts', join(dir, 'durable')], env)
  const beats = async (pid: number): Promise<Beat[]> =>
    beatsOf(await readFile(join(dir, String(pid)), 'utf8').catch(() => ''))
  /** Or is gone: its loop turns no more. */
  const turned = async (pid: number): Promise<void> => {
    const nowMs = clockMs()
    await eventually(
      `the event loop of ${pid} to turn`,
      async () => (await beats(pid)).some(({ fromMs }) => fromMs > nowMs) || (await rssMib(pid)) === 0,
    )
  }
  await turned(idle.pid)

  return {
    env,
    async watch(processes) {
      await Promise.all(processes.map(({ pid }) => turned(pid)))
      const sinceMs = clockMs()
      const meters = await Promise.all(processes.map(({ pid }) => startMeter(pid)))
      return async () => {
        await Promise.all([idle, ...processes].map(({ pid }) => turned(pid)))
        const beside = await beats(idle.pid)
        return Promise.all(
          processes.map(async ({ name, pid }, at) => ({
            name,
            alive: (await rssMib(pid)) > 0,
            pauseMs: Math.round(worstPauseMs(await beats(pid), beside, sinceMs)),
            mostMib: meters[at]?.end().mostMib ?? 0,
          })),
        )
      }
    },
    async close() {
      await idle.end('SIGKILL')
      await rm(dir, { recursive: true, force: true })
    },
  }
}

const clockMs = (): number => Number(process.hrtime.bigint()) / 1e6

async function startMeter(pid: number) {
  let mostMib = await memoryMib(pid)
  const timer = setInterval(() => {
    void memoryMib(pid).then((mib) => (mostMib = Math.max(mostMib, mib)))
  }, LOOK_EVERY_MS)
  return {
    end(): Pick<Seen, 'mostMib'> {
      clearInterval(timer)
      return { mostMib: Math.round(mostMib) }
    },
  }
}

/** Of a process and its children; 0 for one that is gone. */
async function memoryMib(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  const children = text.split(' ').filter(Boolean).map(Number)
  const each = await Promise.all([pid, ...children].map((one) => rssMib(one)))
  return each.reduce((sum, mib) => sum + mib, 0)
}

async function rssMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024
}
