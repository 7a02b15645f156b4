import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Command } from 'commander'
import { INDEXES } from '#shared/google/indexes.ts'
import { startEmulator, whyNoEmulator } from './emulator.ts'
import { CONTENT_SECRET, INBOUND, KEY, PEPPER } from './google-subject.ts'
import { startKmsServer } from './kms-server.ts'
import { startStorageServer } from './storage-server.ts'

/** `npm run cloud`: all of Google Cloud that Mooring uses, on this machine, until Ctrl-C. Nothing is kept. */
const command = new Command('npm run cloud --')
  .description(
    'Starts the Firestore emulator and stand-ins for Cloud Storage and Cloud KMS; nothing is kept.',
  )
  .option('--storage-port <port>', 'port of the Cloud Storage stand-in', '9199')
  .option('--kms-port <port>', 'port of the Cloud KMS stand-in', '9299')
  .option('--bucket <name>', 'a bucket that exists from the start', 'mooring')
  .option('--indexes', 'print infra/firestore.indexes.json and end')
  .parse()
const options = command.opts<{ storagePort: string; kmsPort: string; bucket: string; indexes?: true }>()

if (options.indexes) {
  process.stdout.write(`${JSON.stringify(INDEXES, undefined, 2)}\n`)
} else {
  await run()
}

async function run(): Promise<void> {
  const reason = whyNoEmulator()
  if (reason !== undefined) return command.error(reason)
  const [emulator, storage, kms] = await Promise.all([
    startEmulator(),
    startStorageServer({ port: Number(options.storagePort), buckets: [options.bucket] }),
    startKmsServer({ port: Number(options.kmsPort) }),
  ])
  const environment = {
    MOORING_STORE: 'google',
    GOOGLE_CLOUD_PROJECT: 'local',
    MOORING_BUCKET: options.bucket,
    MOORING_KMS_KEY: KEY,
    MOORING_KEY_PEPPER: PEPPER,
    MOORING_CONTENT_SECRET: CONTENT_SECRET,
    ...INBOUND,
    MOORING_ADMIN_KEY: `moor_${randomBytes(32).toString('base64url')}`,
    MOORING_KMS_ENDPOINT: kms.endpoint,
    FIRESTORE_EMULATOR_HOST: emulator.host,
    STORAGE_EMULATOR_HOST: storage.url,
    METADATA_SERVER_DETECTION: 'none',
  }
  for (const [name, value] of Object.entries(environment)) console.log(`export ${name}='${value}'`)
  console.log(
    '# Paste these lines into another shell and run "npm start" there; Ctrl-C here ends everything.',
  )
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  await Promise.all([emulator.close(), storage.close(), kms.close()])
}
