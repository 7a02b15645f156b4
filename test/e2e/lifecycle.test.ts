import { beforeAll, expect, test } from 'vitest'
import { eventually } from './eventually.ts'
import type { MooringProcess } from './mooring-process.ts'
import { connected, converse, inPhase, jobDone, pairByQr, removed, type Linked } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()
let mooring: MooringProcess
let sessions = 0

beforeAll(async () => {
  mooring = await (await world.install()).start()
})

const pair = (): Promise<Linked> => pairByQr(mooring.api, world.whatsapp, `s${++sessions}`, world.newNumber())

const noConnection = (linked: Linked) =>
  eventually(
    'no connection',
    () => world.whatsapp.device(linked.jid),
    ({ open }) => open === 0,
  )

test('a stop keeps the credentials, a start needs no QR, and both may be repeated', async () => {
  const { api } = mooring
  const linked = await pair()
  await api.act(linked.session, 'stop')
  await api.act(linked.session, 'stop')
  // The status is told first, then the ownership is given back.
  const stopped = await inPhase(api, linked.session, 'stopped', ({ status }) => status.owner === null)
  expect(stopped.status).toMatchObject({ jid: linked.jid })
  expect(await api.health(linked.session)).toMatchObject({ healthy: true, credentials: { state: 'good' } })
  await noConnection(linked)
  await api.act(linked.session, 'start')
  await api.act(linked.session, 'start')
  await connected(api, linked.session, ({ status }) => status.jid === linked.jid)
  expect(await world.whatsapp.device(linked.jid)).toMatchObject({ open: 1, openMax: 1, replaced: 0 })
})

test('a restart opens a new connection with the same credentials and keeps all messages', async () => {
  const { api } = mooring
  const linked = await pair()
  const { logins } = await world.whatsapp.device(linked.jid)
  const { want } = await api.act(linked.session, 'restart')
  await eventually(
    'a new login',
    () => world.whatsapp.device(linked.jid),
    (device) => device.logins === logins + 1,
  )
  await connected(api, linked.session, ({ status }) => status.observedGeneration === want.generation)
  await converse(api, world.whatsapp, linked, world.newNumber(), 'restarted')
  expect(await world.whatsapp.device(linked.jid)).toMatchObject({ openMax: 1, replaced: 0, retriesSent: 0 })
})

test('D5: a logout takes a backup first, unlinks the device, and says that WhatsApp confirmed it', async () => {
  const { api } = mooring
  const linked = await pair()
  const { job } = await api.ask(linked.session, 'logout')
  const result = await jobDone(api, linked.session, job)
  expect(result).toMatchObject({ unlinked: 'confirmed' })
  await inPhase(api, linked.session, 'logged_out')
  expect(await api.snapshots(linked.session)).toContainEqual(
    expect.objectContaining({ id: result['snapshot'], label: 'logout' }),
  )
  expect((await world.whatsapp.phoneReport(linked.phone)).linkedDevices).toEqual([])
  await noConnection(linked)
  // What is unlinked stays unlinked: the backup comes back, WhatsApp refuses it, and the session says so.
  const restored = await api.restore(linked.session, { snapshot: String(result['snapshot']) })
  await jobDone(api, linked.session, restored.job)
  await inPhase(api, linked.session, 'logged_out', ({ status }) => status.lastDisconnect?.code === 401)
})

test('D5: a logout that WhatsApp never heard of is undone by restoring its backup, without a QR', async () => {
  const { api } = mooring
  const linked = await pair()
  await world.whatsapp.fault({ kind: 'failure', reason: 503, phone: linked.phone })
  await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  await inPhase(api, linked.session, 'backing_off', ({ status }) => status.attempts > 1)
  const { job } = await api.ask(linked.session, 'logout')
  expect(await jobDone(api, linked.session, job)).toMatchObject({ unlinked: 'not_connected' })
  await inPhase(api, linked.session, 'logged_out')
  await world.whatsapp.clearFaults()
  expect((await world.whatsapp.phoneReport(linked.phone)).linkedDevices).toHaveLength(1)
  const restored = await api.restore(linked.session, { latest: true })
  await jobDone(api, linked.session, restored.job)
  await connected(api, linked.session, ({ status }) => status.jid === linked.jid)
  await converse(api, world.whatsapp, linked, world.newNumber(), 'undone')
})

test('D2: a backup on demand is listed, and going back to it over healthy credentials needs force', async () => {
  const { api } = mooring
  const linked = await pair()
  const taken = await jobDone(api, linked.session, (await api.takeSnapshot(linked.session, 'monday')).job)
  expect(await api.snapshots(linked.session)).toContainEqual(
    expect.objectContaining({ id: taken['snapshot'], label: 'monday' }),
  )
  const peer = world.newNumber()
  await converse(api, world.whatsapp, linked, peer, 'after monday')
  await expect(api.restore(linked.session, { latest: true })).rejects.toMatchObject({
    status: 409,
    code: 'newer_state',
  })
  const { job } = await api.restore(linked.session, { snapshot: String(taken['snapshot']), force: true })
  await jobDone(api, linked.session, job)
  await connected(api, linked.session, ({ status }) => status.jid === linked.jid)
  expect((await api.snapshots(linked.session)).map(({ label }) => label)).toContain('before_restore')
  await converse(api, world.whatsapp, linked, peer, 'back at monday')
})

test('a deleted session is unlinked from its phone and leaves the list when it is purged', async () => {
  const { api } = mooring
  const linked = await pair()
  expect(await removed(api, linked.session, true)).toMatchObject({ phase: 'purged', reason: null })
  expect((await api.list()).items.map(({ id }) => id)).not.toContain(linked.session)
  expect((await world.whatsapp.phoneReport(linked.phone)).linkedDevices).toEqual([])
  await expect(api.get(linked.session)).rejects.toMatchObject({ status: 404 })
})
