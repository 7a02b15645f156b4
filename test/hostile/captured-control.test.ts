import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cloudEnvironment } from '#test/cloud/environment.ts'
import { INBOUND, skipReason, startCloud, type Cloud } from '#test/cloud/google-subject.ts'
import { startKmsServer, type KmsServer } from '#test/cloud/kms-server.ts'
import { onlyBelow } from '#test/cloud/storage-objects.ts'
import { startStorageServer, type StorageServer } from '#test/cloud/storage-server.ts'
import { TENANT } from '#test/e2e/installation.ts'
import { eventually } from '#test/e2e/eventually.ts'
import type { MooringProcess } from '#test/e2e/mooring-process.ts'
import { converse, jobDone, type Linked } from '#test/e2e/people.ts'
import { folderOf, importSeeded } from '#test/e2e/seeding.ts'
import { readable, type Secret } from '#test/e2e/secrets.ts'
import { useWorld } from '#test/e2e/world.ts'
import { keyOf, sessionName, type SessionId, type SessionKey, type TenantId } from '#shared/ids.ts'
import { deriveAgeIdentity, type AgeIdentity } from '#shared/sealing/age-identity.ts'
import { ageOpen, ageSeal } from '#shared/sealing/age.ts'
import { inboundPlace, sealInboundText } from '#shared/sealing/inbound.ts'
import {
  captureControl,
  controlMayUseKey,
  prefixesOfControl,
  type CapturedControl,
} from './captured-control.ts'

/** A cold JVM on a machine that runs other tests. */
const START_WITHIN_MS = 90_000
/** A quarter of what production has: the last test waits for a takeover. */
const SHORT_LEASE = {
  MOORING_RENEW_EVERY_MS: '600',
  MOORING_RENEW_WITHIN_MS: '1700',
  MOORING_LEASE_FOR_MS: '2500',
}
const OWN_PASSPHRASE = 'a passphrase of his own'

describe.skipIf(skipReason !== undefined)('F4: who has captured control on the Google set', () => {
  const world = useWorld()
  let cloud: Cloud
  let kmsOfControl: KmsServer
  let storageOfControl: StorageServer
  let envOfControl: Record<string, string>
  let control: MooringProcess
  let runner: MooringProcess
  let captured: CapturedControl
  let operator: AgeIdentity
  let linked: Linked
  let key: SessionKey
  let secrets: Secret[]

  beforeAll(async () => {
    cloud = await startCloud()
    // What infra/iam.tf says is what the stand-ins enforce.
    expect(controlMayUseKey()).toBe(false)
    kmsOfControl = await startKmsServer({ mayUse: controlMayUseKey() })
    storageOfControl = await startStorageServer({ of: onlyBelow(cloud.storage.buckets, prefixesOfControl()) })
    operator = await deriveAgeIdentity(randomBytes(32), 'the operator')
    const env: Record<string, string> = { ...cloudEnvironment(cloud), ...SHORT_LEASE }
    const { MOORING_INBOUND_IDENTITY: _, ...rest } = env
    envOfControl = {
      ...rest,
      MOORING_KMS_ENDPOINT: kmsOfControl.endpoint,
      STORAGE_EMULATOR_HOST: storageOfControl.url,
    }
    const installation = await world.install()
    control = await installation.start({ ...envOfControl, MOORING_ROLE: 'control' })
    runner = await installation.start({
      ...env,
      MOORING_ROLE: 'runner',
      MOORING_EXPORT_RECIPIENTS: operator.recipient,
    })
    const [seeded] = await world.whatsapp.seed({ count: 1 })
    if (!seeded) throw new Error('a session is seeded')
    linked = await importSeeded(control.api, 'shop', seeded)
    await converse(control.api, world.whatsapp, linked, world.newNumber(), 'before')
    await jobDone(control.api, 'shop', (await control.api.takeSnapshot('shop', 'kept')).job)
    secrets = secretsOfCreds(seeded.creds)
    captured = await captureControl({ ...envOfControl, MOORING_ADMIN_KEY: control.api.key })
    key = await keyOfSession()
  }, START_WITHIN_MS)
  afterAll(async () => {
    await captured.close()
    await Promise.all([kmsOfControl.close(), storageOfControl.close()])
    await cloud.close()
  })

  const session = async () => {
    const found = await captured.stores.sessions.find(sessionName(TENANT as TenantId, 'shop' as SessionId))
    if (!found) throw new Error('the session is there')
    return found
  }
  const keyOfSession = async (): Promise<SessionKey> => keyOf(await session())

  /** Writes a job past the API, and answers how it ended. */
  async function order(id: string, kind: 'export' | 'import', args: Record<string, string | boolean>) {
    await captured.stores.jobs.create(key, {
      id,
      kind,
      args,
      state: 'open',
      createdAt: Date.now(),
      by: 'him',
    })
    return eventually(
      `the job ${id} to end`,
      () => captured.stores.jobs.get(key, id),
      (job) => job?.state !== 'open',
    )
  }
  const bytesOf = async (object: unknown): Promise<Buffer> =>
    Buffer.concat(await Array.fromAsync(captured.stores.blobs.read(String(object))))

  test('reads every record and every object that he may, and no credentials are in them', async () => {
    expect(secrets.length).toBeGreaterThan(2)
    const all = await captured.readEverything()
    expect(all.includes('journal/')).toBe(true)
    expect(readable(secrets, all)).toEqual([])
    expect(await captured.openEntries(key)).toBe(0)
    // The search has teeth: it would have found what lies open.
    expect(readable(secrets, Buffer.concat([all, ...secrets.map(({ bytes }) => bytes)]))).toHaveLength(
      secrets.length,
    )
  })

  test('can neither open a data key nor wrap one, and sees no snapshot', async () => {
    const { dataKeys } = await session()
    const [first] = dataKeys
    const [snapshot] = await captured.stores.snapshots.list(key)
    if (!first || !snapshot) throw new Error('there is a data key, and a snapshot')
    const aad = `${TENANT}|shop|${first.id}`
    const tried = await Promise.allSettled([
      captured.stores.keys.unwrap(first.wrapped, aad),
      captured.stores.keys.wrap(randomBytes(32), aad),
      captured.stores.blobs.list('snapshots/'),
      bytesOf(snapshot.object),
    ])
    expect(tried.map(({ status }) => status)).toEqual(tried.map(() => 'rejected'))
    expect(kmsOfControl.calls).not.toEqual([])
    expect(
      cloud.storage.buckets.get(envOfControl['MOORING_BUCKET'] ?? '', snapshot.object).bytes.length,
    ).toBeGreaterThan(0)
  })

  test('orders an export under a passphrase or for a recipient of his own, and none is made that he can open', async () => {
    const his = await deriveAgeIdentity(randomBytes(32), 'his')
    const recipient = INBOUND.MOORING_INBOUND_RECIPIENT
    const sealedPassphrase = await sealInboundText(
      OWN_PASSPHRASE,
      recipient,
      inboundPlace(key, 'e1', 'passphrase'),
    )
    expect(await order('e1', 'export', { sealedPassphrase })).toMatchObject({
      state: 'failed',
      error: { code: 'export_off' },
    })
    const done = await order('e2', 'export', {
      recipient: his.recipient,
      recipients: his.recipient,
      to: 'passphrase',
      passphrase: OWN_PASSPHRASE,
    })
    expect(done).toMatchObject({ state: 'done' })
    const file = await bytesOf(done.result?.['object'])
    await expect(ageOpen(file, [his])).rejects.toThrow()
    await expect(ageOpen(file, { passphrase: OWN_PASSPHRASE })).rejects.toThrow()
    expect(await captured.opensFile(file)).toBe(false)
    expect((await ageOpen(file, [operator])).length).toBeGreaterThan(0)
  })

  test('reads imports on their way, and hands them to others, and opens none', async () => {
    await runner.stop()
    const [seeded] = await world.whatsapp.seed({ count: 1, prefix: '4916' })
    if (!seeded) throw new Error('a session is seeded')
    const folder = Buffer.from(JSON.stringify({ files: folderOf(seeded) }))
    const bySender = await ageSeal(folder, [INBOUND.MOORING_INBOUND_RECIPIENT])
    await control.api.create('other')
    const upload = await fetch(`${control.api.url}/v1/sessions/other/import?tenant=${TENANT}`, {
      method: 'POST',
      headers: { 'x-api-key': control.api.key, 'content-type': 'application/octet-stream' },
      body: new Uint8Array(bySender),
    })
    expect(upload.status).toBe(202)
    const [object] = await captured.stores.blobs.list('imports/')
    const file = await bytesOf(object)
    expect(readable(secretsOfCreds(seeded.creds), file)).toEqual([])
    expect(await captured.opensFile(file)).toBe(false)
  })

  test('plants a data key that he knows, and nothing is ever sealed with it', async () => {
    const { dataKeys } = await session()
    const planted = { id: 'planted0', bytes: randomBytes(32) }
    const before = (await captured.stores.journal.read(key, 0)).length
    await captured.stores.sessions.putDataKey(
      key,
      {
        id: planted.id,
        wrapped: planted.bytes,
        keyVersion: dataKeys[0]?.keyVersion ?? '',
        createdAt: Date.now(),
      },
      { expectKeys: dataKeys.length },
    )
    const again = await world.install()
    const next = await again.start({
      ...envOfControl,
      ...INBOUND,
      MOORING_KMS_ENDPOINT: cloud.kms.endpoint,
      STORAGE_EMULATOR_HOST: cloud.storage.url,
      MOORING_ROLE: 'runner',
    })
    const phase = async () => (await control.api.get('shop')).status.phase
    await next.says('phase changed', ({ phase: to }) => to === 'failed' || to === 'connected')
    await eventually('the session to be refused, or connected', phase, (now) =>
      ['failed', 'backing_off', 'connected'].includes(now),
    )
    expect((await captured.stores.journal.read(key, 0)).length).toBeGreaterThanOrEqual(before)
    expect(await captured.openEntries(key, planted)).toBe(0)
    expect(readable(secrets, await captured.readEverything())).toEqual([])
  })
})

/** What makes somebody the device: its own private keys, and the secret that its pairing was signed with. */
function secretsOfCreds(creds: string): Secret[] {
  const read = JSON.parse(creds) as Record<string, { private?: { data?: string } } | string | undefined>
  return ['noiseKey', 'signedIdentityKey', 'pairingEphemeralKeyPair', 'advSecretKey'].flatMap((name) => {
    const value = read[name]
    const text = typeof value === 'string' ? value : value?.private?.data
    return text === undefined ? [] : [{ name, bytes: Buffer.from(text, 'base64') }]
  })
}
