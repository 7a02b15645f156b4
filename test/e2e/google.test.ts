import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { cloudEnvironment } from '#test/cloud/environment.ts'
import { KEY, skipReason, startCloud, type Cloud } from '#test/cloud/google-subject.ts'
import { startKmsServer } from '#test/cloud/kms-server.ts'
import { startRefusingFirestore } from '#test/cloud/refusing-firestore.ts'
import { startChild } from './child.ts'
import { eventually } from './eventually.ts'
import { connected, converse, jobDone, pairByQr, textsIn, type Linked } from './people.ts'
import { useWorld } from './world.ts'

/** A cold JVM on a machine that runs other tests. */
const START_WITHIN_MS = 90_000
const SHORT_LEASE = {
  MOORING_RENEW_EVERY_MS: '600',
  MOORING_RENEW_WITHIN_MS: '1700',
  MOORING_LEASE_FOR_MS: '2500',
}
const PERMISSION_DENIED = 7
/** sysexits(3): a setting is wrong. */
const EX_CONFIG = 78

type Env = Record<string, string>

describe.skipIf(skipReason !== undefined)('with the stores of Google Cloud', () => {
  const world = useWorld()
  let cloud: Cloud
  beforeAll(async () => {
    cloud = await startCloud()
  }, START_WITHIN_MS)
  afterAll(() => cloud.close())

  const device = (linked: Linked) => world.whatsapp.device(linked.jid)
  /** Takeovers wait for the lease of the dead: a quarter of what production has. */
  const installation = () => world.install({ ...cloudEnvironment(cloud), ...SHORT_LEASE })

  test('A1 A3 A4: killed in mid-life and its disk wiped, a session is connected again without a QR and still one linked device', async () => {
    const { whatsapp } = world
    const here = await installation()
    const first = await here.start()
    const linked = await pairByQr(first.api, whatsapp, 'shop', world.newNumber())
    const peer = world.newNumber()
    await converse(first.api, whatsapp, linked, peer, 'before')

    await first.kill()
    await here.wipeWorkDir()
    await whatsapp.send(peer, { to: linked.phone, text: 'while you were away' })
    const second = await here.start()

    const session = await connected(second.api, 'shop', ({ status }) => status.owner?.alive)
    expect(session.status).toMatchObject({ jid: linked.jid, attempts: 0 })
    await eventually('the message of the night', async () =>
      (await textsIn(second.api, 'shop')).includes('while you were away'),
    )
    await converse(second.api, whatsapp, linked, peer, 'after')
    const events = await second.api.events('shop')
    expect(events.filter(({ to }) => to === 'pairing')).toHaveLength(1)
    const phone = await whatsapp.phoneReport(linked.phone)
    expect(phone.linkedDevices.map(({ jid }) => jid)).toEqual([linked.jid])
    expect(phone.linkedMax).toBe(1)
    const calm = { openMax: 1, replaced: 0, retriesSent: 0, retriesReceived: 0, loginsRefused: 0 }
    expect(await device(linked)).toMatchObject(calm)
  })

  test('A1 A3 B5: a successor takes over what its predecessor hands over on SIGTERM, and a message in between is not lost', async () => {
    const { whatsapp } = world
    const here = await installation()
    const first = await here.start()
    const linked = await pairByQr(first.api, whatsapp, 'shop', world.newNumber())
    const peer = world.newNumber()
    await converse(first.api, whatsapp, linked, peer, 'before')
    const second = await here.start()
    expect(await first.stop()).toEqual({ code: 0, signal: null })
    await whatsapp.send(peer, { to: linked.phone, text: 'in between' })
    await connected(second.api, 'shop', ({ status }) => status.owner?.alive)
    await eventually('the message in between', async () =>
      (await textsIn(second.api, 'shop')).includes('in between'),
    )
    await converse(second.api, whatsapp, linked, peer, 'after')
    expect(await device(linked)).toMatchObject({ openMax: 1, replaced: 0, retriesSent: 0 })
  })

  test.for([429, 503])(
    'while Cloud Storage answers %i, a snapshot waits and messages do not; then it is taken',
    async (status) => {
      const { whatsapp } = world
      const here = await installation()
      const mooring = await here.start()
      const linked = await pairByQr(mooring.api, whatsapp, 'shop', world.newNumber())
      const before = await mooring.api.snapshots('shop')
      cloud.storage.inject({ on: 'upload', fault: { do: 'status', status }, times: Infinity })
      const asked = cloud.storage.requests.length
      const { logins } = await device(linked)
      const { job } = await mooring.api.takeSnapshot('shop', 'kept')
      // More than the tries of one upload: the job itself was begun anew.
      await eventually('the upload to be tried again', () => cloud.storage.requests.length > asked + 5)
      await converse(mooring.api, whatsapp, linked, world.newNumber(), 'meanwhile')
      expect(await mooring.api.job('shop', job)).toMatchObject({ state: 'open' })
      expect(await mooring.api.snapshots('shop')).toHaveLength(before.length)
      cloud.storage.clearFaults()
      expect(await jobDone(mooring.api, 'shop', job)).toMatchObject({ snapshot: expect.any(String) })
      expect((await mooring.api.snapshots('shop')).map(({ label }) => label)).toContain('kept')
      expect(await device(linked)).toMatchObject({ open: 1, logins, replaced: 0 })
    },
  )

  const refusals: readonly [says: string, spoil: (env: Env) => Promise<Env>, sentence: RegExp][] = [
    [
      'a bucket that does not exist',
      async (env) => ({ ...env, MOORING_BUCKET: 'not-there' }),
      /There is no Cloud Storage bucket "not-there"; create it or correct MOORING_BUCKET\./,
    ],
    [
      'a bucket that it may not read',
      async (env) => {
        cloud.storage.buckets.forbid(env['MOORING_BUCKET'] ?? '')
        return env
      },
      /Cloud Storage refuses this service account; give it roles\/storage\.objectUser/,
    ],
    [
      'a key that does not exist',
      async (env) => {
        const kms = await startKmsServer({ missing: [KEY] })
        onTestFinished(() => kms.close())
        return { ...env, MOORING_KMS_ENDPOINT: kms.endpoint }
      },
      /There is no Cloud KMS key ".*kek"; create it or correct MOORING_KMS_KEY\./,
    ],
    [
      'a database that it may not read',
      async (env) => {
        const denying = await startRefusingFirestore(
          PERMISSION_DENIED,
          'Missing or insufficient permissions.',
        )
        onTestFinished(() => denying.close())
        return { ...env, FIRESTORE_EMULATOR_HOST: denying.host }
      },
      /Firestore refuses this service account; give it roles\/datastore\.user/,
    ],
  ]
  test.concurrent.for(refusals)(
    'a start with %s ends with one sentence',
    async ([, spoil, sentence], { expect }) => {
      const env = await spoil(cloudEnvironment(cloud))
      const child = startChild(['mooring.ts'], {
        ...env,
        PORT: '0',
        MOORING_ADMIN_KEY: `moor_${'e'.repeat(40)}`,
      })
      const { code } = await child.ended
      const said = child.lines.filter((line) => line !== '')
      expect(code).toBe(EX_CONFIG)
      expect(said[0]).toMatch(/^mooring cannot start: /)
      expect(said[0]).toMatch(sentence)
      // The sentence and its hint: no stack, nothing else.
      expect(said).toHaveLength(2)
    },
  )
})
