import { defaultRunnerName, type Config } from '#shared/config.ts'
import type { RunnerSettings } from './runner-deps.ts'
import { WATCHDOG_TIMES } from './session/watchdog.ts'
import { WEB_PAGE } from './version/web-page.ts'
import type { BaileysSettings } from './whatsapp/baileys-socket.ts'

/**
 * Shorter than Baileys' minute: a query on a healthy line takes well under a second (docs/facts/baileys.md §7: 20–30 s).
 */
const QUERY_TIMEOUT_MS = 25_000

/** The operating system tells of a dead process at the next look, and the look is a read of a local file. */
const LOOK_EVERY_MS = 1_000

const DAY_MS = 86_400_000

/** What the settings of the process mean for its runner. Pure. */
export function runnerSettings(
  config: Config,
  version: string,
): {
  runner: Omit<RunnerSettings, 'workDir'>
  baileys: BaileysSettings
  whatsappVersion: { chosen: string | undefined; page: string | undefined }
} {
  const keepAliveEveryMs = config.MOORING_KEEP_ALIVE_EVERY_MS
  return {
    runner: {
      name: config.MOORING_RUNNER_ID ?? defaultRunnerName(),
      version,
      lease: {
        renewEveryMs: config.MOORING_RENEW_EVERY_MS,
        renewWithinMs: config.MOORING_RENEW_WITHIN_MS,
        leaseForMs: config.MOORING_LEASE_FOR_MS,
      },
      // Three missed pings, whatever the period; and never looking more rarely than a ping.
      watchdog: {
        ...WATCHDOG_TIMES,
        lookEveryMs: Math.min(WATCHDOG_TIMES.lookEveryMs, keepAliveEveryMs),
        silenceMs: 3 * keepAliveEveryMs,
        connectMs: Math.max(2 * config.MOORING_CONNECT_TIMEOUT_MS, keepAliveEveryMs),
      },
      lookEveryMs: config.MOORING_STORE === 'embedded' ? LOOK_EVERY_MS : undefined,
      resyncEveryMs: config.MOORING_RESYNC_EVERY_MS,
      connectsPerSecond: config.MOORING_CONNECTS_PER_SECOND,
      connectingMax: config.MOORING_CONNECTING_MAX,
      capacity: config.MOORING_CAPACITY,
      rebalancePerMinute: config.MOORING_REBALANCE_PER_MINUTE,
      rotateKeysAfterMs: config.MOORING_ROTATE_KEYS_DAYS * DAY_MS,
      reconcile: config.MOORING_RECONCILE,
    },
    baileys: {
      url: config.MOORING_WHATSAPP_URL,
      connectTimeoutMs: config.MOORING_CONNECT_TIMEOUT_MS,
      keepAliveEveryMs,
      queryTimeoutMs: QUERY_TIMEOUT_MS,
    },
    whatsappVersion:
      config.MOORING_WHATSAPP_VERSION === 'auto'
        ? { chosen: undefined, page: pageOf(config) }
        : { chosen: config.MOORING_WHATSAPP_VERSION, page: undefined },
  }
}

/** WhatsApp's own page says nothing of what another server wants. */
const pageOf = (config: Config): string | undefined =>
  config.MOORING_WHATSAPP_PAGE_URL ?? (config.MOORING_WHATSAPP_URL === undefined ? WEB_PAGE : undefined)
