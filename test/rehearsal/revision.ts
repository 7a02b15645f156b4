import { join } from 'node:path'
import { KEY, Program } from '../bench/processes.ts'
import { eventually } from '../e2e/eventually.ts'

/** What Cloud Run gives between SIGTERM and SIGKILL; no setting changes it. */
export const KILL_AFTER_MS = 10_000
/** A startup probe that fails for longer ends the deploy. */
const READY_WITHIN_MS = 60_000

/** The processes of one revision: a control service and a pool of runners, each with an empty disk of its own. */
export interface Revision {
  readonly name: string
  /** Of its control service. */
  readonly url: string
  readonly programs: readonly Program[]
}

/** Ends in order, or is killed. */
export interface Stopped {
  tookMs: number
  killed: boolean
}

export interface RevisionOptions {
  name: string
  runners: number
  dir: string
  whatsappUrl: string
  env: Readonly<Record<string, string>>
}

/** Starts the processes of a revision, and waits until the startup probe of each would have passed. */
export async function startRevision(options: RevisionOptions): Promise<Revision> {
  const { name, runners, dir, whatsappUrl, env } = options
  const start = (role: 'control' | 'runner', index: number): Program =>
    new Program(['--import', './test/whatsapp/trust.ts', 'mooring.ts'], {
      MOORING_ROLE: role,
      MOORING_ADMIN_KEY: KEY,
      MOORING_RUNNER_ID: `${name}-${index}`,
      MOORING_DATA_DIR: join(dir, 'data'),
      MOORING_WORK_DIR: join(dir, `${name}-${role}-${index}`),
      MOORING_WHATSAPP_URL: whatsappUrl,
      MOORING_HOST: '127.0.0.1',
      MOORING_CONNECTS_PER_SECOND: '1000',
      MOORING_REBALANCE_PER_MINUTE: '0',
      PORT: '0',
      ...env,
      ...(role === 'control' && { MOORING_INBOUND_IDENTITY: '' }),
    })
  const programs = [
    start('control', 0),
    ...Array.from({ length: runners }, (_, index) => start('runner', index)),
  ]
  try {
    const urls = await Promise.all(programs.map(addressOf))
    await Promise.all(urls.map((url) => ready(name, url)))
    return { name, url: urls[0] ?? '', programs }
  } catch (error) {
    await Promise.all(programs.map((program) => program.kill('SIGKILL')))
    throw error
  }
}

async function addressOf(program: Program): Promise<string> {
  const { line } = await program.line((one) => one.message === 'listening', READY_WITHIN_MS)
  return `http://127.0.0.1:${Number(line['port'])}`
}

const ready = (name: string, url: string): Promise<unknown> =>
  eventually(
    `${name} to be ready`,
    async () => (await fetch(`${url}/health/ready`)).status,
    (status) => status === 200,
    READY_WITHIN_MS,
  )

/** SIGTERM to every process of a revision; what is still there after ten seconds gets SIGKILL, as on Cloud Run. */
export async function stopRevision(revision: Revision): Promise<readonly Stopped[]> {
  return Promise.all(
    revision.programs.map(async (program) => {
      let killed = false
      const kill = setTimeout(() => {
        killed = true
        program.child.kill('SIGKILL')
      }, KILL_AFTER_MS)
      const tookMs = await program.kill('SIGTERM')
      clearTimeout(kill)
      return { tookMs, killed }
    }),
  )
}
