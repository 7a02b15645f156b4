import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const KEY = `moor_${'b'.repeat(40)}`

type Line = Record<string, unknown> & { message?: string }

/** A program of ours that writes JSON lines, and waits on them. */
export class Program {
  readonly child: ChildProcess
  readonly lines: Line[] = []
  readonly startedMs = performance.now()
  readonly #waiting: { fits: (line: Line) => boolean; resolve: (at: { line: Line; ms: number }) => void }[] =
    []
  stderr = ''

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    this.child = spawn(process.execPath, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const { stdout, stderr } = this.child
    stderr?.on('data', (piece: Buffer) => {
      this.stderr += piece.toString()
    })
    if (stdout) createInterface({ input: stdout }).on('line', (text) => this.#read(text))
  }

  #read(text: string): void {
    if (!text.startsWith('{')) return
    const line = JSON.parse(text) as Line
    this.lines.push(line)
    const ms = performance.now() - this.startedMs
    for (const [at, waiter] of [...this.#waiting.entries()].toReversed()) {
      if (!waiter.fits(line)) continue
      this.#waiting.splice(at, 1)
      waiter.resolve({ line, ms })
    }
  }

  /** The next line that fits, and the milliseconds from the start of the process until then. */
  async line(fits: (line: Line) => boolean, withinMs = 120_000): Promise<{ line: Line; ms: number }> {
    const known = this.lines.find(fits)
    if (known) return { line: known, ms: performance.now() - this.startedMs }
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`no such line in ${withinMs} ms; ${this.stderr.slice(-2_000)}`)),
        withinMs,
      )
    })
    const found = new Promise<{ line: Line; ms: number }>((resolve) => this.#waiting.push({ fits, resolve }))
    const ended = once(this.child, 'exit').then(() => {
      throw new Error(`the process ended; ${this.stderr.slice(-2_000)}`)
    })
    try {
      return await Promise.race([found, late, ended])
    } finally {
      clearTimeout(timer)
    }
  }

  async kill(signal: NodeJS.Signals): Promise<number> {
    const startMs = performance.now()
    if (this.child.exitCode !== null || this.child.signalCode !== null) return 0
    const gone = once(this.child, 'exit')
    this.child.kill(signal)
    await gone
    return performance.now() - startMs
  }

  /** Resident set and CPU time of the process so far. */
  async usage(): Promise<{ rssMiB: number; cpuMs: number }> {
    const [status, stat] = await Promise.all([
      readFile(`/proc/${this.child.pid}/status`, 'utf8'),
      readFile(`/proc/${this.child.pid}/stat`, 'utf8'),
    ])
    const rssKiB = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0)
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // User and system time in clock ticks of 10 ms (proc(5), fields 14 and 15).
    return { rssMiB: rssKiB / 1024, cpuMs: (Number(fields[11]) + Number(fields[12])) * 10 }
  }
}

/** The stand-in in a process of its own, as in the comparison that the goals come from. */
export async function startStandIn(): Promise<{ program: Program; url: string; adminUrl: string }> {
  const program = new Program(['test/whatsapp/main.ts', '--port', '0', '--admin-port', '0'])
  const { line } = await program.line((one) => typeof one['adminUrl'] === 'string')
  return { program, url: String(line['url']), adminUrl: String(line['adminUrl']) }
}

/** What `npm start` and the image tell Node. */
export const START = ['--max-semi-space-size=8'] as const

/** Mooring as `npm start` runs it, against the stand-in, with the pacing of connects lifted. */
export function startMooring(
  at: { dataDir: string; workDir: string; url: string },
  env: Record<string, string> = {},
): Program {
  return new Program([...START, '--import', './test/whatsapp/trust.ts', 'mooring.ts'], {
    MOORING_DATA_DIR: at.dataDir,
    MOORING_WORK_DIR: at.workDir,
    MOORING_WHATSAPP_URL: at.url,
    MOORING_ADMIN_KEY: KEY,
    MOORING_HOST: '127.0.0.1',
    MOORING_CONNECTS_PER_SECOND: '10000',
    MOORING_CONNECTING_MAX: '10000',
    MOORING_CAPACITY: '10000',
    PORT: '0',
    ...env,
  })
}

export async function withTempDir<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-bench-'))
  try {
    return await work(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
