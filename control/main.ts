import { randomBytes } from 'node:crypto'
import type { Registry } from 'prom-client'
import { createControl } from './http/app.ts'
import { sha256Hex } from './http/key-text.ts'
import { serveHttp, type Serving } from '#shared/http/serve.ts'
import { systemClock } from '#shared/clock.ts'
import type { Config } from '#shared/config.ts'
import type { Log } from '#shared/log.ts'
import { systemRandom } from '#shared/random.ts'
import type { Bodies } from '#shared/sealing/bodies.ts'
import { lazyGuard } from '#shared/net/lazy-guard.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { TransferSettings } from '#shared/transfer-settings.ts'
import { bootstrapKey, keyPepper } from './start/bootstrap-key.ts'
import { version } from '#shared/version.ts'
import { welcome } from './start/welcome.ts'

/** Everything that only a process which serves the API loads. */
export async function startControl(
  config: Config,
  {
    stores,
    bodies,
    transfer,
    log,
    registry,
    isStatusLate,
  }: {
    stores: Stores
    bodies: Bodies
    transfer: TransferSettings
    log: Log
    registry: Registry
    isStatusLate: () => boolean
  },
): Promise<Serving> {
  const key = await bootstrapKey(config, config.MOORING_DATA_DIR, randomBytes)
  const project = config.GOOGLE_CLOUD_PROJECT
  const app = createControl({
    stores,
    bodies,
    clock: systemClock,
    random: systemRandom,
    log,
    transfer: { recipient: transfer.recipient, exportTo: transfer.exports.to },
    guard: lazyGuard(config),
    version,
    registry,
    isStatusLate,
    adminKeySha256: sha256Hex(key.text),
    keyPepper: await keyPepper(config, config.MOORING_DATA_DIR, randomBytes),
    ...(project === undefined ? {} : { project }),
    instances: config.MOORING_INSTANCES,
    streamsMax: config.MOORING_STREAMS_MAX,
    trustedProxies: config.MOORING_TRUSTED_PROXIES,
    corsOrigins: config.MOORING_CORS_ORIGINS,
  })
  const serving = await serveHttp({ app, port: config.PORT, hostname: config.MOORING_HOST })
  log.info({ component: 'control', host: config.MOORING_HOST, port: serving.port }, 'listening')
  if (key.path !== undefined) log.info({ component: 'control', path: key.path }, 'admin key is in this file')
  welcome({ host: config.MOORING_HOST, port: serving.port, key, pretty: process.stdout.isTTY })
  return serving
}
