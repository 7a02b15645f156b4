import { beforeAll, expect, test } from 'vitest'
import { eventually } from './eventually.ts'
import type { MooringProcess } from './mooring-process.ts'
import { connected, converse, inPhase, jobDone, pairByQr, scanQr, type Linked } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()
let mooring: MooringProcess
/** Is there all the time, and must never notice. */
let bystander: Linked
let bystanderLogins: number
let sessions = 0

const pair = (at: MooringProcess = mooring): Promise<Linked> =>
  pairByQr(at.api, world.whatsapp, `s${++sessions}`, world.newNumber())

beforeAll(async () => {
  mooring = await (await world.install()).start()
  bystander = await pair()
  bystanderLogins = (await world.whatsapp.device(bystander.jid)).logins
})

/** How often the device, or anybody who was refused before that could be known, tried to connect: the server's count. */
async function tries(linked: Linked): Promise<number> {
  const [device, { totals }] = await Promise.all([world.whatsapp.device(linked.jid), world.whatsapp.report()])
  return device.logins + device.loginsRefused + totals.refusedUpgrades
}

/** The session rests: no connection of it is open, and looking at it again does not start one. */
async function rests(linked: Linked): Promise<void> {
  const { api } = mooring
  await eventually(
    'no connection',
    () => world.whatsapp.device(linked.jid),
    ({ open }) => open === 0,
  )
  const before = await tries(linked)
  await api.patch(linked.session, { metadata: { touched: 'yes' } })
  await eventually(
    'the session to be looked at once more',
    () => api.get(linked.session),
    ({ want, status }) => status.observedGeneration === want.generation && status.owner === null,
  )
  expect(await tries(linked)).toBe(before)
}

async function bystanderIsWell(): Promise<void> {
  expect((await mooring.api.get(bystander.session)).status.phase).toBe('connected')
  expect(await world.whatsapp.device(bystander.jid)).toMatchObject({ logins: bystanderLogins, open: 1 })
}

test('D5 B4: unlinked on the phone, a session is logged out, its credentials are archived, the others go on', async () => {
  const { api } = mooring
  const linked = await pair()
  await world.whatsapp.unlink(linked.phone, 1)
  const session = await inPhase(api, linked.session, 'logged_out')
  expect(session.status).toMatchObject({ reason: 'device_removed', lastDisconnect: { code: 401 } })
  expect(await api.health(linked.session)).toMatchObject({
    healthy: false,
    credentials: { state: 'archived', needsPairing: true },
  })
  expect(await api.snapshots(linked.session)).toContainEqual(
    expect.objectContaining({ label: 'device_removed', reason: 'device_removed', quarantined: null }),
  )
  await rests(linked)
  await bystanderIsWell()
  // A person links it again.
  const again = await scanQr(api, world.whatsapp, linked.session, linked.phone)
  expect((await world.whatsapp.phoneReport(linked.phone)).linkedDevices.map(({ jid }) => jid)).toEqual([
    again.jid,
  ])
})

test('D1 D5: after a 401 that was a mistake the archived credentials are restored, and no QR is needed', async () => {
  const { api } = mooring
  const linked = await pair()
  await world.whatsapp.fault({ kind: 'failure', reason: 401, phone: linked.phone, times: 1 })
  await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  const session = await inPhase(api, linked.session, 'logged_out')
  expect(session.status.lastDisconnect).toMatchObject({ code: 401, why: 'logged_out' })
  const [backup] = (await api.snapshots(linked.session)).filter(({ label }) => label === 'logged_out')
  await rests(linked)
  await bystanderIsWell()

  const { job } = await api.restore(linked.session, { snapshot: backup?.id ?? '' })
  await jobDone(api, linked.session, job)
  const back = await connected(api, linked.session)
  expect(back.status.jid).toBe(linked.jid)
  await converse(api, world.whatsapp, linked, world.newNumber(), 'restored')
})

test('E1: another connection with the same credentials is a conflict: no reconnect, until a person resumes', async () => {
  const { api } = mooring
  const linked = await pair()
  const { logins } = await world.whatsapp.device(linked.jid)
  await world.whatsapp.fault({ kind: 'stream_error', conflict: 'replaced', phone: linked.phone })
  const session = await inPhase(api, linked.session, 'conflict')
  expect(session.status).toMatchObject({ lastDisconnect: { code: 440, why: 'replaced' } })
  await rests(linked)
  expect((await world.whatsapp.device(linked.jid)).logins).toBe(logins)
  await bystanderIsWell()
  await api.act(linked.session, 'resume')
  await connected(api, linked.session)
  expect((await world.whatsapp.device(linked.jid)).logins).toBe(logins + 1)
})

test('403 bans a session: its credentials are archived, and nothing tries again', async () => {
  const { api } = mooring
  const linked = await pair()
  await world.whatsapp.fault({ kind: 'failure', reason: 403, phone: linked.phone, times: 1 })
  await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  const session = await inPhase(api, linked.session, 'banned')
  expect(session.status).toMatchObject({ reason: 'banned', lastDisconnect: { code: 403 } })
  expect((await api.snapshots(linked.session)).map(({ label }) => label)).toContain('banned')
  await rests(linked)
  await bystanderIsWell()
})

test('402 restricts a session until it expires, and then it comes back by itself', async () => {
  const { api } = mooring
  const linked = await pair()
  const attrs = { expire: '2', code: '101' }
  await world.whatsapp.fault({ kind: 'failure', reason: 402, attrs, phone: linked.phone, times: 1 })
  await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  const session = await inPhase(api, linked.session, 'restricted')
  const until = Date.parse(session.status.until ?? '')
  expect(until).toBeGreaterThan(Date.now())
  expect(await api.health(linked.session)).toMatchObject({
    credentials: { state: 'good', needsPairing: false },
  })
  await bystanderIsWell()
  const back = await connected(api, linked.session)
  expect(Date.now()).toBeGreaterThanOrEqual(until)
  expect(back.status.jid).toBe(linked.jid)
})

test('HTTP 403 instead of a WebSocket fails a session after three tries, with its credentials kept', async () => {
  const { api } = mooring
  const linked = await pair()
  const { refusedUpgrades } = (await world.whatsapp.report()).totals
  await world.whatsapp.fault({ kind: 'http', status: 403 })
  await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  const session = await inPhase(api, linked.session, 'failed')
  expect(session.status.lastDisconnect).toMatchObject({ code: 403, why: 'http_refused' })
  await rests(linked)
  expect((await world.whatsapp.report()).totals.refusedUpgrades).toBe(refusedUpgrades + 3)
  await bystanderIsWell()
  await world.whatsapp.clearFaults()
  await api.act(linked.session, 'resume')
  expect((await connected(api, linked.session)).status.jid).toBe(linked.jid)
})

test('405 stops every connect of the fleet until a person asks, and keeps all credentials', async () => {
  // Its own fleet: the others must not stop with it.
  const fleet = await (await world.install()).start()
  const { api } = fleet
  const refused = await pair(fleet)
  const other = await pair(fleet)
  const connectedAllAlong = await pair(fleet)
  await world.whatsapp.fault({ kind: 'failure', reason: 405, phone: refused.phone, times: 1 })
  await world.whatsapp.fault({ kind: 'cut', phone: refused.phone })
  const outdated = await inPhase(api, refused.session, 'outdated')
  expect(outdated.status.lastDisconnect).toMatchObject({ code: 405, why: 'outdated' })

  // An older connection that is looked at proves nothing about the version.
  await converse(api, world.whatsapp, connectedAllAlong, world.newNumber(), 'meanwhile')
  const { logins } = await world.whatsapp.device(other.jid)
  await world.whatsapp.fault({ kind: 'cut', phone: other.phone })
  await inPhase(api, other.session, 'outdated')
  expect((await world.whatsapp.device(other.jid)).logins).toBe(logins)
  expect((await api.get(connectedAllAlong.session)).status.phase).toBe('connected')

  await api.act(refused.session, 'restart')
  await connected(api, refused.session)
  await connected(api, other.session)
})
