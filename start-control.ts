import { randomBytes } from 'node:crypto'
import type { Registry } from 'prom-client'
import { createControl } from '#control/app.ts'
import { sha256Hex } from '#control/auth.ts'
import { serveControl, type Serving } from '#control/serve.ts'
import { systemClock } from '#shared/clock.ts'
import type { Config } from '#shared/config.ts'
import type { Log } from '#shared/log.ts'
import { systemRandom } from '#shared/random.ts'
import type { Stores } from '#shared/store/stores.ts'
import { bootstrapKey, keyPepper } from './bootstrap.ts'
import { version } from './version.ts'
import { welcome } from './welcome.ts'

/** Everything that only a process which serves the API loads. */
export async function startControl(
  config: Config,
  { stores, log, registry }: { stores: Stores; log: Log; registry: Registry },
): Promise<Serving> {
  const key = await bootstrapKey(config, config.MOORING_DATA_DIR, randomBytes)
  const project = config.GOOGLE_CLOUD_PROJECT
  const app = createControl({
    stores,
    clock: systemClock,
    random: systemRandom,
    log,
    version,
    registry,
    adminKeySha256: sha256Hex(key.text),
    keyPepper: await keyPepper(config, config.MOORING_DATA_DIR, randomBytes),
    ...(project === undefined ? {} : { project }),
  })
  const serving = await serveControl({ app, port: config.PORT, hostname: config.MOORING_HOST })
  log.info({ component: 'control', port: serving.port }, 'listening')
  if (key.path !== undefined) log.info({ component: 'control', path: key.path }, 'admin key is in this file')
  welcome({ port: serving.port, key, pretty: process.stdout.isTTY })
  return serving
}
