import { join } from 'node:path'
import type { Registry } from 'prom-client'
import { countDropped } from './probes/dropped-metrics.ts'
import { measureLate } from './probes/late-metrics.ts'
import { Runner } from './runner.ts'
import { runnerSettings } from './settings.ts'
import { readWebPage } from './version/web-page.ts'
import { baileysSockets, BUILT_IN_VERSION } from './whatsapp/baileys-socket.ts'
import { deviceUnlinker } from './whatsapp/unlink-device.ts'
import { proxies } from './whatsapp/proxy.ts'
import { silenceConsole } from './whatsapp/library/silent-console.ts'
import { systemClock } from '#shared/clock.ts'
import type { Config } from '#shared/config.ts'
import type { Log } from '#shared/log.ts'
import { lazyGuard } from '#shared/net/lazy-guard.ts'
import { systemRandom } from '#shared/random.ts'
import type { Bodies } from '#shared/sealing/bodies.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { TransferSettings } from '#shared/transfer-settings.ts'
import { version } from '#shared/version.ts'

/** Of the time that a WebSocket has to open: a proxy that hangs is found out before that, so it is known to be it. */
const TUNNEL_PART = 0.75

/**
 * Everything that only a process which holds sockets loads. Resolves when the first passes are queued; calls `drained` when
 * all was handed over because somebody asked for it.
 */
export async function startRunner(
  config: Config,
  { stores, bodies, transfer }: { stores: Stores; bodies: Bodies; transfer: TransferSettings },
  log: Log,
  registry: Registry,
  drained: () => void,
): Promise<Runner> {
  silenceConsole(log)
  const settings = runnerSettings(config, version)
  const { chosen, page } = settings.whatsappVersion
  const whatsapp = {
    settings: settings.baileys,
    clock: systemClock,
    proxies: proxies({
      clock: systemClock,
      guard: lazyGuard(config),
      operatorsGuard: lazyGuard({ MOORING_ALLOW_PRIVATE_ADDRESSES: true }),
      identities: transfer.identities,
      fleet: config.MOORING_PROXY_URL,
      withinMs: config.MOORING_CONNECT_TIMEOUT_MS * TUNNEL_PART,
    }),
    log:
      config.MOORING_BAILEYS_LOG_LEVEL === 'silent'
        ? undefined
        : log.child({ component: 'baileys' }, { level: config.MOORING_BAILEYS_LOG_LEVEL }),
  }
  const runner = new Runner({
    stores,
    bodies,
    clock: systemClock,
    random: systemRandom,
    log: log.child({ component: 'runner' }),
    openSocket: baileysSockets(whatsapp),
    unlinkDevice: deviceUnlinker(whatsapp),
    clientVersion: {
      builtIn: BUILT_IN_VERSION,
      chosen,
      readPage: page === undefined ? undefined : () => readWebPage(page),
    },
    transfer,
    drained,
    dropped: countDropped(registry),
    settings: {
      ...settings.runner,
      workDir: config.MOORING_WORK_DIR ?? join(config.MOORING_DATA_DIR, 'work'),
    },
  })
  measureLate(registry, () => runner.late)
  await runner.start()
  return runner
}
