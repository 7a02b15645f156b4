import { spawn, spawnSync } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** The official Firestore emulator. Any project and database name exists in it and is empty. */
export interface Emulator {
  /** `host:port`: what FIRESTORE_EMULATOR_HOST wants. */
  host: string
  /** Freezes it, as a machine that hangs; `resume` goes on where it was. Not for one that was running already. */
  pause(): void
  resume(): void
  close(): Promise<void>
}

/** A cold JVM on a busy machine; about 4 s on a free one (docs/facts/google-cloud.md §12). */
const START_WITHIN_MS = 60_000
const ASK_EVERY_MS = 100

/**
 * gcloud makes a process group of its own, and its Java child outlives it, so the group is ended and not the process. The
 * shell waits for the end of its standard input, which comes when it is closed or when this process is gone for whatever
 * reason, and is deaf to a Ctrl-C that goes to all of a terminal; nothing is left running.
 */
const SCRIPT = `
  trap '' INT TERM HUP
  gcloud emulators firestore start --host-port="$1" & child=$!
  echo "group $child"
  cat >/dev/null
  kill -KILL "-$child" || kill -KILL "$child"
`

/** Why the emulator can't be had here; absent when it can. One that runs already is as good as one to start. */
export function whyNoEmulator(env: Record<string, string | undefined> = process.env): string | undefined {
  if (env['FIRESTORE_EMULATOR_HOST']) return undefined
  for (const [command, argument] of [
    ['gcloud', '--version'],
    ['java', '-version'],
  ] as const) {
    if (spawnSync(command, [argument], { stdio: 'ignore' }).status !== 0) {
      return `the Firestore emulator needs ${command}, which is not on this machine`
    }
  }
  return undefined
}

/** @throws Error that tells why it did not come up, with what it said last. */
export async function startEmulator(
  env: Record<string, string | undefined> = process.env,
): Promise<Emulator> {
  const running = env['FIRESTORE_EMULATOR_HOST']
  if (running) {
    const refuse = (): void => {
      throw new Error('only an emulator that was started here can be paused')
    }
    return { host: running, pause: refuse, resume: refuse, close: () => Promise.resolve() }
  }
  const host = `127.0.0.1:${await freePort()}`
  const shell = spawn('sh', ['-c', SCRIPT, 'emulator', host], { detached: true, stdio: 'pipe' })
  let said = ''
  let group: number | undefined
  const hear = (text: Buffer): void => {
    said = (said + text.toString()).slice(-4000)
    group ??= Number(/^group (\d+)$/m.exec(said)?.[1]) || undefined
  }
  shell.stdout.on('data', hear)
  shell.stderr.on('data', hear)
  shell.stdin.on('error', () => {})
  const ended = new Promise<void>((resolve) => shell.once('exit', () => resolve()))
  const signal = (name: NodeJS.Signals): void => {
    if (group !== undefined && shell.exitCode === null) process.kill(-group, name)
  }
  const stop = async (): Promise<void> => {
    shell.stdin.end()
    await ended
  }

  const startedAt = performance.now()
  while (!(await answers(host))) {
    const late = performance.now() - startedAt > START_WITHIN_MS
    const over =
      shell.exitCode !== null || /failed to start|exited with code|address already in use/i.test(said)
    if (late || over) {
      await stop()
      throw new Error(
        `the Firestore emulator did not come up${late ? ` within ${START_WITHIN_MS} ms` : ''}:\n${said}`,
      )
    }
    await sleep(ASK_EVERY_MS)
  }
  return {
    host,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    close: stop,
  }
}

/**
 * It answers "Ok" to a plain request once it serves. The first write of a cold JVM took more than the two seconds that a renewal
 * has, so one is made before anybody counts on it, where nobody looks.
 */
async function answers(host: string): Promise<boolean> {
  try {
    const serves = await fetch(`http://${host}/`, { signal: AbortSignal.timeout(2000) })
    if (!serves.ok) return false
    const written = await fetch(`http://${host}/v1/projects/warm-up/databases/(default)/documents/writes`, {
      method: 'POST',
      headers: { authorization: 'Bearer owner', 'content-type': 'application/json' },
      body: '{"fields":{}}',
      signal: AbortSignal.timeout(10_000),
    })
    return written.ok
  } catch {
    return false
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
