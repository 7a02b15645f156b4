import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

/** The project's folder: what `npm start` runs in. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Of the environment of the tests only this reaches a process under test; every setting is the test's own. */
const INHERITED = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'CI']

export interface Ending {
  code: number | null
  signal: NodeJS.Signals | null
}

/** A test run that is broken off takes its processes with it. */
const living = new Set<{ kill(signal: NodeJS.Signals): boolean }>()
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL')
})

/** A process of its own, and every line it wrote. */
export interface Child {
  readonly pid: number
  /** What it wrote to both streams, in the order of arrival. */
  readonly lines: readonly string[]
  readonly alive: boolean
  /** Resolves when it is gone, whoever ended it, and its last line was read. */
  readonly ended: Promise<Ending>
  /** Sends a signal and waits for the end. Harmless when it is gone already. */
  end(signal: NodeJS.Signals): Promise<Ending>
  /** Sends a signal and does not wait. */
  signal(signal: NodeJS.Signals): void
}

/** Starts `node <args>` in the project's folder. */
export function startChild(args: readonly string[], env: Readonly<Record<string, string>> = {}): Child {
  const inherited = INHERITED.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  })
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  living.add(child)
  child.once('exit', () => living.delete(child))
  const lines: string[] = []
  const read = [child.stdout, child.stderr].map((stream) => {
    const reader = createInterface(stream)
    reader.on('line', (line) => void lines.push(line))
    return once(reader, 'close')
  })
  const ended: Promise<Ending> = once(child, 'exit').then(async ([code, signal]) => {
    await Promise.all(read)
    return { code, signal }
  })
  return {
    pid: child.pid ?? 0,
    lines,
    ended,
    get alive() {
      return child.exitCode === null && child.signalCode === null
    },
    end(signal) {
      child.kill(signal)
      return ended
    },
    signal: (signal) => void child.kill(signal),
  }
}
