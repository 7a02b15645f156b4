import { rename, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { APPEND_WITHIN_MS } from '#runner/state/appender.ts'
import { systemClock, type Clock } from '#shared/clock.ts'
import { CodedError } from '#shared/errors.ts'
import { eventually } from './eventually.ts'
import { useLocalRunners, type LocalRunner } from './in-process.ts'
import type { Installation } from './installation.ts'
import type { MooringProcess } from './mooring-process.ts'
import { connected, converse, pairByQr, textsIn, type Linked } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()
const startLocal = useLocalRunners()

/** What must not happen while the store is away has had that many round trips to happen. */
const LOOKS = 25

interface Scene {
  installation: Installation
  control: MooringProcess
  local: LocalRunner
  linked: Linked
  person: string
}

/** A session and a person with two devices who have written with each other. */
async function begin(more: { clock?: Clock } = {}): Promise<Scene> {
  const installation = await world.install()
  const { control, local } = await startLocal({ installation, whatsappUrl: world.whatsappUrl, ...more })
  const linked = await pairByQr(control.api, world.whatsapp, 'shop', world.newNumber())
  const person = world.newNumber()
  await world.whatsapp.phone(person)
  await world.whatsapp.companion(person)
  await converse(control.api, world.whatsapp, linked, person, 'before')
  return { installation, control, local, linked, person }
}

const device = ({ linked }: Scene) => world.whatsapp.device(linked.jid)

/** The journal is away: every append is refused, and the runner has met that. */
async function away(scene: Scene): Promise<void> {
  const { local } = scene
  const error = new CodedError('store_unavailable', 'scripted')
  local.journal.append = { kind: 'fail_before', error }
}

const isTried = ({ local }: Scene, from: number): Promise<unknown> =>
  eventually('an append to be refused', () => local.appends.length > from + 1)

/** Both write while the store is away. Answers the id of the session's message. */
async function bothWrite(scene: Scene, word: string): Promise<string> {
  const { control, linked, person } = scene
  await world.whatsapp.send(person, { to: linked.phone, text: `${word}: in` })
  return (await control.api.send('shop', person, `${word}: out`)).id
}

async function bothRead(scene: Scene, word: string, id: string): Promise<void> {
  const { control, person } = scene
  await eventually(
    'the text in the feed, once',
    async () => (await textsIn(control.api, 'shop')).filter((text) => text === `${word}: in`),
    (found) => found.length === 1,
  )
  await eventually(
    'it to be delivered',
    () => control.api.sent('shop', id),
    ({ state }) => state === 'delivered',
  )
  await eventually(
    'both devices to read it, once',
    async () =>
      (await world.whatsapp.messages(person, { device: 'all' })).filter(
        ({ text }) => text === `${word}: out`,
      ),
    (read) => read.length === 2 && read.every(({ copies }) => copies === 1),
  )
}

async function nobodyNoticed(scene: Scene): Promise<void> {
  const { control, linked } = scene
  expect(await device(scene)).toMatchObject({ openMax: 1, replaced: 0, retriesSent: 0, retriesReceived: 0 })
  expect((await world.whatsapp.phoneReport(linked.phone)).linkedMax).toBe(1)
  expect((await control.api.events('shop')).filter(({ to }) => to === 'pairing')).toHaveLength(1)
}

test('B5: while the journal is away for a moment nothing is receipted or sent; then it goes on, on the same connection', async () => {
  const scene = await begin()
  const { local } = scene
  const { logins, receipted } = await device(scene)
  const from = local.appends.length
  await away(scene)
  const id = await bothWrite(scene, 'away')
  await isTried(scene, from)
  for (let at = 0; at < LOOKS; at++) {
    expect(await device(scene)).toMatchObject({ receipted, open: 1 })
    expect(await world.whatsapp.accepted(id)).toEqual([])
  }
  expect(await textsIn(scene.control.api, 'shop')).not.toContain('away: in')
  delete local.journal.append
  await bothRead(scene, 'away', id)
  expect((await device(scene)).logins).toBe(logins)
  await nobodyNoticed(scene)
})

test('B5: when the journal stays away the socket is closed, and the session resumes by itself when the store is back', async () => {
  const clock: Clock = {
    ...systemClock,
    // The minute that the store may be away passes in half a second; all other time is what it is.
    after: (ms, task) => systemClock.after(ms === APPEND_WITHIN_MS ? 500 : ms, task),
  }
  const scene = await begin({ clock })
  const { local, control, linked } = scene
  const { receipted } = await device(scene)
  await away(scene)
  const id = await bothWrite(scene, 'away')
  const closed = await eventually(
    'the socket to be closed',
    () => device(scene),
    ({ open }) => open === 0,
  )
  expect(closed.receipted).toBe(receipted)
  expect(await world.whatsapp.accepted(id)).toEqual([])
  delete local.journal.append
  await connected(control.api, 'shop', ({ status }) => status.jid === linked.jid)
  await bothRead(scene, 'away', id)
  await nobodyNoticed(scene)
})

test('B4: when the disk of the working directory is full a session goes on in memory, says so, and loses nothing at a restart', async () => {
  const scene = await begin()
  const { installation, local, linked, person } = scene
  const { workDir } = installation
  // From here on whatever is written of the working copy is answered with ENOSPC.
  await symlink('/dev/full', join(workDir, 'full'))
  const key = local.appends[0]?.key ?? ''
  await rename(join(workDir, 'full'), join(workDir, `${encodeURIComponent(key)}.tail`))
  await bothRead(scene, 'full', await bothWrite(scene, 'full'))
  const said = await eventually('it to say so', () =>
    local.lines.find(({ message }) => message.includes('the session goes on in memory')),
  )
  expect(said).toMatchObject({ sessionKey: key, error: { code: 'ENOSPC' } })
  await bothRead(scene, 'in memory', await bothWrite(scene, 'in memory'))
  await local.stop()
  const next = await installation.start()
  await connected(next.api, 'shop', ({ status }) => status.jid === linked.jid)
  await converse(next.api, world.whatsapp, linked, person, 'after')
  await nobodyNoticed(scene)
})
