import { randomBytes } from 'node:crypto'
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startMooring, type MooringProcess } from './mooring-process.ts'

const ADMIN_KEY = `moor_${'e2e-admin-key-'.padEnd(40, 'x')}`
export const TENANT = 'acme'

export interface InstallationOptions {
  whatsappUrl: string
  /** Settings of every process of it. */
  env?: Readonly<Record<string, string>>
}

/**
 * What one operator has: a data directory that lasts, a working directory that may be wiped, and the processes that run on
 * them, one after the other or several at once.
 */
export interface Installation {
  readonly dataDir: string
  readonly workDir: string
  readonly processes: readonly MooringProcess[]
  /** Starts a process; the first one of an installation also makes the tenant. */
  start(env?: Readonly<Record<string, string>>): Promise<MooringProcess>
  /** What a container without a volume goes through between two starts. */
  wipeWorkDir(): Promise<void>
  /** Another installation with a copy of what this one has on disk. Only while none of its processes runs. */
  copy(): Promise<Installation>
  /** Ends every process and removes everything. Calling it twice is harmless. */
  close(): Promise<void>
}

export async function install(options: InstallationOptions): Promise<Installation> {
  const root = await mkdtemp(join(tmpdir(), 'mooring-e2e-'))
  const dataDir = join(root, 'data')
  const workDir = join(root, `work-${randomBytes(3).toString('hex')}`)
  const processes: MooringProcess[] = []
  let hasTenant = false
  return {
    dataDir,
    workDir,
    processes,
    async start(env) {
      const mooring = await startMooring({
        dataDir,
        workDir,
        adminKey: ADMIN_KEY,
        tenant: TENANT,
        whatsappUrl: options.whatsappUrl,
        env: { ...options.env, ...env },
      })
      processes.push(mooring)
      const hasApi = env?.['MOORING_ROLE'] !== 'runner'
      if (!hasTenant && hasApi) await mooring.api.createTenant()
      hasTenant ||= hasApi
      return mooring
    },
    async wipeWorkDir() {
      await rm(workDir, { recursive: true, force: true })
    },
    async copy() {
      if (processes.some(({ child }) => child.alive)) throw new Error('a running installation is not copied')
      const other = await install(options)
      await mkdir(other.dataDir, { recursive: true })
      await cp(dataDir, other.dataDir, { recursive: true })
      return other
    },
    async close() {
      await Promise.all(processes.map((mooring) => mooring.kill()))
      await rm(root, { recursive: true, force: true })
    },
  }
}
