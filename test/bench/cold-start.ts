import { startCloud, skipReason } from '../cloud/google-subject.ts'
import { cloudEnvironment } from '../cloud/environment.ts'
import { KEY, Program, START, withTempDir } from './processes.ts'
import { median, type Figure } from './report.ts'

const ROUNDS = 5

/** Control alone, from the start of its process to its first answer, and its memory then; on either set of stores. */
export async function benchColdStart(): Promise<readonly Figure[]> {
  const figures = [await measure('embedded', {})]
  if (skipReason !== undefined) return figures
  const cloud = await startCloud()
  try {
    figures.push(await measure('google', cloudEnvironment(cloud)))
  } finally {
    await cloud.close()
  }
  return figures
}

async function measure(store: string, env: Record<string, string>): Promise<Figure> {
  return withTempDir(async (dir) => {
    const times: number[] = []
    const sizes: number[] = []
    const ready: Started['ready'][] = []
    // The first one fills Node's compile cache, which an image has from its build and a machine from its first start.
    for (let round = 0; round <= ROUNDS; round++) {
      const started = await coldStart({ ...env, MOORING_DATA_DIR: `${dir}/data` })
      if (round === 0) continue
      times.push(started.ms)
      sizes.push(started.rssMiB)
      ready.push(started.ready)
    }
    return {
      name: `cold start of control alone, ${store}`,
      value: `${median(times).toFixed(0)} ms, ${median(sizes).toFixed(0)} MiB`,
      goal: '< 700 ms, < 150 MiB',
      note: `process start → first request answered, RSS then; median of ${ROUNDS}, at most ${Math.max(...times).toFixed(0)} ms; with /health/ready, which asks all services, ${median(ready.map(({ ms }) => ms)).toFixed(0)} ms, ${median(ready.map(({ rssMiB }) => rssMiB)).toFixed(0)} MiB`,
    }
  })
}

interface Started {
  ms: number
  rssMiB: number
  /** The same once `/health/ready` was answered, too. */
  ready: { ms: number; rssMiB: number }
}

async function coldStart(env: Record<string, string>): Promise<Started> {
  const program = new Program([...START, 'mooring.ts'], {
    MOORING_ROLE: 'control',
    MOORING_ADMIN_KEY: KEY,
    MOORING_HOST: '127.0.0.1',
    PORT: '0',
    ...env,
    MOORING_INBOUND_IDENTITY: '',
  })
  try {
    const { line } = await program.line((one) => one.message === 'listening', 30_000)
    const ask = async (path: string): Promise<{ ms: number; rssMiB: number }> => {
      const answer = await fetch(`http://127.0.0.1:${Number(line['port'])}${path}`, {
        headers: { 'x-api-key': KEY },
      })
      await answer.text()
      if (!answer.ok) throw new Error(`${path} was answered ${answer.status}`)
      const ms = performance.now() - program.startedMs
      return { ms, rssMiB: (await program.usage()).rssMiB }
    }
    const first = await ask('/v1/tenants')
    return { ...first, ready: await ask('/health/ready') }
  } finally {
    await program.kill('SIGKILL')
  }
}
