import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect } from 'vitest'
import { mooringApi, type Api } from '#test/e2e/api.ts'
import type { Installation } from '#test/e2e/installation.ts'
import type { MooringProcess } from '#test/e2e/mooring-process.ts'
import type { Linked } from '#test/e2e/people.ts'
import { importSeeded } from '#test/e2e/seeding.ts'
import { useWorld, type World } from '#test/e2e/world.ts'
import { startHeartbeat } from './heartbeat.ts'
import { startWatcher, type Watcher } from './watcher.ts'

/** docs/design/promises.md, F3. */
const PAUSE_MS_MAX = 200
/** What a container has by default (infra/variables.tf). */
const MEMORY_MIB = { control: 512, runner: 1024 } as const

/** One installation under attack: its two programs apart, as on a fleet, with the image's flags, and two tenants in it. */
export interface Siege {
  readonly world: World
  readonly installation: Installation
  readonly control: MooringProcess
  readonly runner: MooringProcess
  /** Of the tenant that attacks, or is attacked: all that a key of it may do. */
  readonly hostile: Api
  readonly operator: Api
  /** A linked session of that tenant. */
  readonly target: Linked
  /**
   * Runs the attack beside the life of another tenant, and fails when either program ended, held its event loop or took more
   * memory than it has, or when that tenant's session missed a beat or lost its connection.
   */
  underWatch<T>(attack: () => Promise<T>): Promise<T>
}

/** Starts what all tests of a file share; their attacks come one after the other. */
export function useSiege(): Siege {
  const world = useWorld()
  let watcher: Watcher
  let installation: Installation
  let programs: { control: MooringProcess; runner: MooringProcess }
  let tenants: { hostile: Api; quiet: Api }
  let sessions: { target: Linked; quiet: Linked }

  beforeAll(async () => {
    watcher = await startWatcher()
    installation = await world.install(watcher.env)
    const start = (role: keyof typeof MEMORY_MIB): Promise<MooringProcess> =>
      installation.start({
        MOORING_ROLE: role,
        NODE_OPTIONS: `${flagsOfImage(MEMORY_MIB[role])} ${watcher.env['NODE_OPTIONS']}`,
      })
    const control = await start('control')
    programs = { control, runner: await start('runner') }
    tenants = { hostile: await tenantOf(control, 'hostile'), quiet: await tenantOf(control, 'quiet') }
    const [one, other] = await world.whatsapp.seed({ count: 2 })
    if (!one || !other) throw new Error('two sessions are seeded')
    sessions = {
      target: await importSeeded(tenants.hostile, 'target', one),
      quiet: await importSeeded(tenants.quiet, 'quiet', other),
    }
  })
  afterAll(() => watcher.close())

  return {
    world,
    get installation() {
      return installation
    },
    get control() {
      return programs.control
    },
    get runner() {
      return programs.runner
    },
    get hostile() {
      return tenants.hostile
    },
    get operator() {
      return programs.control.api
    },
    get target() {
      return sessions.target
    },
    async underWatch(attack) {
      const { control, runner } = programs
      const device = () => world.whatsapp.device(sessions.quiet.jid)
      const { logins } = await device()
      const watched = [
        { name: 'control', pid: control.child.pid },
        { name: 'runner', pid: runner.child.pid },
      ]
      const endWatch = await watcher.watch(watched)
      const heart = startHeartbeat(tenants.quiet, world.whatsapp, sessions.quiet, world.newNumber())
      try {
        return await attack()
      } finally {
        await heart.stop()
        const seen = await endWatch()
        for (const { name, alive, pauseMs, mostMib } of seen) {
          expect(alive, `${name} is alive`).toBe(true)
          expect(pauseMs, `the longest pause of ${name} in ms`).toBeLessThan(PAUSE_MS_MAX)
          expect(mostMib, `the memory of ${name} in MiB`).toBeLessThan(
            MEMORY_MIB[name as keyof typeof MEMORY_MIB],
          )
        }
        expect(await device()).toMatchObject({ open: 1, openMax: 1, logins, replaced: 0 })
      }
    },
  }
}

/** A tenant, and its API under a key of its own with every scope that one of a tenant may have. */
async function tenantOf({ api, port }: MooringProcess, tenant: string): Promise<Api> {
  await api.createTenant(tenant)
  const scopes = ['read', 'send', 'control', 'credentials', 'admin']
  const { key } = await api.call<{ key: string }>('POST', '/v1/keys', { tenant, name: tenant, scopes })
  return mooringApi({ url: `http://127.0.0.1:${port}`, key, tenant })
}

/** The image's own flags, with the heap that its percentage gives in a container of this size: this machine is larger. */
function flagsOfImage(memoryMib: number): string {
  const [, flags = ''] = /NODE_OPTIONS="([^"]+)"/.exec(readFileSync('Dockerfile', 'utf8')) ?? []
  const asMib = flags.replace(
    /--max-old-space-size-percentage=(\d+)/,
    (_, percent: string) => `--max-old-space-size=${Math.floor((memoryMib * Number(percent)) / 100)}`,
  )
  if (asMib === flags) throw new Error('the image sets its heap in percent')
  return asMib
}
