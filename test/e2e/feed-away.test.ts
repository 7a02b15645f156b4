import { expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import { eventually } from './eventually.ts'
import { useLocalRunners, type LocalRunner } from './in-process.ts'
import type { Installation } from './installation.ts'
import type { MooringProcess } from './mooring-process.ts'
import { converse, inPhase, jobDone, pairByQr, scanQr, textsIn, type Linked } from './people.ts'
import { useWorld } from './world.ts'

/** What WhatsApp holds a receipt for is owed to the application, whatever becomes of the credentials meanwhile. */

const world = useWorld()
const startLocal = useLocalRunners()

interface Scene {
  installation: Installation
  control: MooringProcess
  local: LocalRunner
  linked: Linked
  person: string
}

/** A session that received a text, and receipted it, while the feed is away. */
async function owing(): Promise<Scene> {
  const installation = await world.install()
  const { control, local } = await startLocal({ installation, whatsappUrl: world.whatsappUrl })
  const linked = await pairByQr(control.api, world.whatsapp, 'shop', world.newNumber())
  const person = world.newNumber()
  await world.whatsapp.phone(person)
  await converse(control.api, world.whatsapp, linked, person, 'before')
  const { receipted } = await world.whatsapp.device(linked.jid)
  local.feed.add = { kind: 'fail_before', error: new CodedError('store_unavailable', 'scripted') }
  await world.whatsapp.send(person, { to: linked.phone, text: 'owed' })
  await eventually(
    'the receipt',
    () => world.whatsapp.device(linked.jid),
    (device) => device.receipted === receipted + 1,
  )
  expect(await textsIn(control.api, 'shop')).not.toContain('owed')
  return { installation, control, local, linked, person }
}

const delivered = ({ control }: Pick<Scene, 'control'>): Promise<unknown> =>
  eventually(
    'the text in the feed, once',
    async () => (await textsIn(control.api, 'shop')).filter((text) => text === 'owed'),
    (found) => found.length === 1,
  )

const letGo = ({ control }: Pick<Scene, 'control'>): Promise<unknown> =>
  eventually(
    'it to be let go of',
    () => control.api.get('shop'),
    ({ status }) => status.owner === null && status.waiting.length === 0,
  )

test('B5 D5: what was received before a 401 is delivered once the feed is back, and only then is it let go', async () => {
  const scene = await owing()
  const { control, local, linked } = scene
  await world.whatsapp.unlink(linked.phone, 1)
  const session = await inPhase(control.api, 'shop', 'logged_out')
  expect(session.status).toMatchObject({ waiting: [{ what: 'inbox' }], owner: { alive: true } })
  delete local.feed.add
  await delivered(scene)
  await letGo(scene)
  // Its backup holds the credentials and nothing of the application: going back to it brings no message again.
  const [backup] = (await control.api.snapshots('shop')).filter(({ label }) => label === 'device_removed')
  await jobDone(
    control.api,
    'shop',
    (await control.api.restore('shop', { snapshot: backup?.id ?? '', force: true })).job,
  )
  await delivered(scene)
})

test('B5: what was received before a reset is delivered by the session that is paired afterwards', async () => {
  const scene = await owing()
  const { control, local, linked, person } = scene
  await jobDone(control.api, 'shop', (await control.api.ask('shop', 'reset')).job)
  const again = await scanQr(control.api, world.whatsapp, 'shop', linked.phone)
  expect(again.jid).not.toBe(linked.jid)
  expect(await textsIn(control.api, 'shop')).not.toContain('owed')
  delete local.feed.add
  await delivered(scene)
  await converse(control.api, world.whatsapp, again, person, 'after')
  await delivered(scene)
})

test('B5: what a runner leaves behind of a logged-out session is delivered by the next one', async () => {
  const scene = await owing()
  const { control, local, linked, installation } = scene
  await world.whatsapp.unlink(linked.phone, 1)
  await inPhase(control.api, 'shop', 'logged_out')
  await local.stop()
  expect((await control.api.get('shop')).status).toMatchObject({
    phase: 'logged_out',
    waiting: [{ what: 'inbox' }],
  })
  await installation.start({ MOORING_ROLE: 'runner' })
  await delivered(scene)
  await letGo(scene)
})
