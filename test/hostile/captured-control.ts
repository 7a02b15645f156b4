import { createHash, hkdfSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Firestore, type CollectionReference, type DocumentReference } from '@google-cloud/firestore'
import { entryAad } from '#runner/state/aad.ts'
import { systemClock } from '#shared/clock.ts'
import { open } from '#shared/envelope.ts'
import { noCredentials } from '#shared/google/no-credentials.ts'
import { openGoogleStores } from '#shared/google/open.ts'
import type { SessionKey } from '#shared/ids.ts'
import { systemRandom } from '#shared/random.ts'
import { ageOpen } from '#shared/sealing/age.ts'
import type { Stores } from '#shared/store/stores.ts'

/**
 * Somebody who has taken control over on Google Cloud: its account, its settings, its program. This is what he tries; he never
 * has more than infra/iam.tf gives to that account, which the stand-ins refuse as Google does.
 */
export interface CapturedControl {
  readonly stores: Stores
  /** Every record of the database and every object that he may read, as one long text. */
  readEverything(): Promise<Buffer>
  /** The sealed entries of a session's journal that open with a key of his, or with anything that he has. */
  openEntries(key: SessionKey, planted?: { id: string; bytes: Buffer }): Promise<number>
  /** Whether an age file opens with anything that he has. */
  opensFile(file: Uint8Array): Promise<boolean>
  close(): Promise<void>
}

/** The objects that control may touch, by the condition of its role. */
export function prefixesOfControl(): string[] {
  const terraform = readFileSync('infra/iam.tf', 'utf8')
  const [, list = ''] = /"control_transfers"[\s\S]*?for prefix in \[([^\]]+)\]/.exec(terraform) ?? []
  return [...list.matchAll(/"([^"]+)"/g)].map(([, prefix = '']) => prefix)
}

/** Whether any role on the key-encryption key is given to the account of control. */
export const controlMayUseKey = (): boolean =>
  [...readFileSync('infra/iam.tf', 'utf8').matchAll(/"google_kms_crypto_key_iam_member"[\s\S]*?\n}/g)].some(
    ([block]) => block.includes('service_account.control'),
  )

/** `env` is what control is started with. */
export async function captureControl(env: Readonly<Record<string, string>>): Promise<CapturedControl> {
  const database = env['MOORING_FIRESTORE_DATABASE'] ?? ''
  const bucket = env['MOORING_BUCKET'] ?? ''
  const stores = await openGoogleStores({
    project: 'local',
    database,
    bucket,
    kmsKey: env['MOORING_KMS_KEY'],
    firestoreEmulatorHost: env['FIRESTORE_EMULATOR_HOST'],
    storageEmulatorHost: env['STORAGE_EMULATOR_HOST'],
    kmsEndpoint: env['MOORING_KMS_ENDPOINT'],
    clock: systemClock,
    random: systemRandom,
  })
  const firestore = new Firestore({
    projectId: 'local',
    databaseId: database,
    host: env['FIRESTORE_EMULATOR_HOST'] ?? '',
    ssl: false,
    auth: noCredentials(),
  })
  const found: Buffer[] = []
  /** Whatever he has or has read that could be a key, in the forms in which programs make keys of texts. */
  const secrets = Object.values(env).filter((text) => text.length >= 16)
  const keys = secrets.flatMap((text) => [
    createHash('sha256').update(text).digest(),
    Buffer.from(hkdfSync('sha256', text, '', '', 32)),
    Buffer.concat([Buffer.from(text, 'base64'), Buffer.alloc(32)]).subarray(0, 32),
  ])

  const readCollection = async (collection: CollectionReference): Promise<void> => {
    for (const document of await collection.listDocuments()) await readDocument(document)
  }
  const readDocument = async (document: DocumentReference): Promise<void> => {
    const data = (await document.get()).data() ?? {}
    found.push(Buffer.from(`${document.path} ${JSON.stringify(data, bytesAsBase64)}`))
    for (const collection of await document.listCollections()) await readCollection(collection)
  }

  return {
    stores,
    async readEverything() {
      found.length = 0
      for (const collection of await firestore.listCollections()) await readCollection(collection)
      for (const prefix of prefixesOfControl())
        for (const name of await stores.blobs.list(prefix))
          found.push(Buffer.concat(await Array.fromAsync(stores.blobs.read(name))))
      return Buffer.concat(found)
    },
    async openEntries(key, planted) {
      const entries = await stores.journal.read(key, 0)
      const opens = (bytes: Uint8Array, aad: string): boolean =>
        [...keys, ...(planted ? [planted.bytes] : [])].some((secret) => {
          try {
            // Whichever key the seal names, he says that it is his.
            return open((id) => ({ id, bytes: secret }), bytes, aad).length > 0
          } catch {
            return false
          }
        })
      const macs = ['', ...entries.map(({ sealed }) => Buffer.from(sealed.slice(-16)).toString('hex'))]
      return entries.filter(({ epoch, seq, sealed }) =>
        macs.some((mac) => opens(sealed, entryAad(key, epoch, seq, mac === '' ? undefined : mac))),
      ).length
    },
    async opensFile(file) {
      for (const secret of secrets) {
        const isOpen = await ageOpen(file, { passphrase: secret }).then(
          () => true,
          () => false,
        )
        if (isOpen) return true
      }
      return false
    },
    async close() {
      await Promise.all([stores.close(), firestore.terminate()])
    },
  }
}

/** Bytes as what they are in the store; a Buffer's own JSON is a list of numbers, in which nobody finds anything. */
const bytesAsBase64 = (_: string, value: unknown): unknown => {
  const { type, data } = (value ?? {}) as { type?: string; data?: number[] }
  return type === 'Buffer' && Array.isArray(data) ? Buffer.from(data).toString('base64') : value
}
