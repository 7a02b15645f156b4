import { beforeAll, expect, test } from 'vitest'
import { eventually } from './eventually.ts'
import type { Installation } from './installation.ts'
import type { MooringProcess } from './mooring-process.ts'
import { connected, converse, inPhase, jobDone, pairByQr, scanQr, type Linked } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()
let installation: Installation
let mooring: MooringProcess

beforeAll(async () => {
  installation = await world.install()
  mooring = await installation.start()
})

/** What is said of the devices that a session was before, once none of them is under way any more. */
const superseded = async (session: string) => {
  const { status } = await eventually(
    `the devices that ${session} was before`,
    () => mooring.api.get(session),
    (seen) =>
      seen.status.superseded.length > 0 && seen.status.superseded.every(({ state }) => state !== 'pending'),
  )
  return status.superseded
}

const retireEvents = async (session: string) =>
  eventually(
    'the event',
    () => mooring.api.events(session),
    (seen) => seen.some(({ kind }) => kind === 'retire'),
  ).then((all) => all.filter(({ kind }) => kind === 'retire'))

const devicesOf = async (phone: string): Promise<string[]> =>
  (await world.whatsapp.phoneReport(phone)).linkedDevices.map(({ jid }) => jid)

/** The session goes on as if nothing else had happened: one connection, never replaced. */
async function untouched(linked: Linked): Promise<void> {
  await converse(mooring.api, world.whatsapp, linked, world.newNumber(), 'afterwards')
  expect(await world.whatsapp.device(linked.jid)).toMatchObject({ open: 1, openMax: 1, replaced: 0 })
  expect((await mooring.api.get(linked.session)).status).toMatchObject({
    phase: 'connected',
    jid: linked.jid,
  })
}

test('A4 linked anew with replace, a session takes the device that it was off the phone, and says so', async () => {
  const { api } = mooring
  const phone = world.newNumber()
  const first = await pairByQr(api, world.whatsapp, 'twice', phone)
  const second = await scanQr(api, world.whatsapp, 'twice', phone, { replace: true })
  expect(second.jid).not.toBe(first.jid)
  expect(await superseded('twice')).toMatchObject([
    { jid: first.jid, state: 'retired', why: expect.stringContaining('confirmed'), tries: 1 },
  ])
  expect(await devicesOf(phone)).toEqual([second.jid])
  expect(await retireEvents('twice')).toMatchObject([
    { kind: 'retire', to: 'retired', detail: { jid: first.jid } },
  ])
  await untouched(second)
})

test('A4 linked anew after a reset, a session takes the device that it was off the phone', async () => {
  const { api } = mooring
  const phone = world.newNumber()
  const first = await pairByQr(api, world.whatsapp, 'reset', phone)
  const { job } = await api.ask('reset', 'reset')
  expect(await jobDone(api, 'reset', job)).toMatchObject({ stillLinked: first.jid })
  await inPhase(api, 'reset', 'unpaired')
  expect(await devicesOf(phone)).toEqual([first.jid])
  const second = await scanQr(api, world.whatsapp, 'reset', phone)
  expect(await superseded('reset')).toMatchObject([{ jid: first.jid, state: 'retired' }])
  expect(await devicesOf(phone)).toEqual([second.jid])
  await untouched(second)
})

test('A4 a device that a person has unlinked meanwhile is found gone, which is as good', async () => {
  const { api } = mooring
  const phone = world.newNumber()
  const first = await pairByQr(api, world.whatsapp, 'gone', phone)
  const { job } = await api.ask('gone', 'reset')
  await jobDone(api, 'gone', job)
  await world.whatsapp.unlink(phone, 1)
  const second = await scanQr(api, world.whatsapp, 'gone', phone)
  expect(await superseded('gone')).toMatchObject([
    { jid: first.jid, state: 'retired', why: 'it was not linked any more' },
  ])
  expect(await devicesOf(phone)).toEqual([second.jid])
})

test('A4 a logout that WhatsApp never heard of is made up for once the session is linked anew', async () => {
  const { api } = mooring
  const phone = world.newNumber()
  const first = await pairByQr(api, world.whatsapp, 'unheard', phone)
  await world.whatsapp.fault({ kind: 'failure', reason: 503, phone })
  await world.whatsapp.fault({ kind: 'cut', phone })
  await inPhase(api, 'unheard', 'backing_off')
  const { job } = await api.ask('unheard', 'logout')
  expect(await jobDone(api, 'unheard', job)).toMatchObject({ unlinked: 'not_connected' })
  await world.whatsapp.clearFaults()
  expect(await devicesOf(phone)).toEqual([first.jid])
  const second = await scanQr(api, world.whatsapp, 'unheard', phone)
  expect(await superseded('unheard')).toMatchObject([{ jid: first.jid, state: 'retired' }])
  expect(await devicesOf(phone)).toEqual([second.jid])
})

test('A4 a device that is not let in is told as still linked, with what to do, and the session is untouched', async () => {
  const { api } = mooring
  const phone = world.newNumber()
  const first = await pairByQr(api, world.whatsapp, 'refused', phone)
  await world.whatsapp.fault({ kind: 'failure', reason: 403, phone, device: 1 })
  const second = await scanQr(api, world.whatsapp, 'refused', phone, { replace: true })
  const [device] = await superseded('refused')
  expect(device).toMatchObject({ jid: first.jid, state: 'still_linked', tries: 1 })
  expect(device?.why).toBe(
    'WhatsApp did not let it in (banned); unlink it on the phone, under "Linked devices"',
  )
  expect(await retireEvents('refused')).toMatchObject([
    { to: 'still_linked', why: device?.why, detail: { jid: first.jid } },
  ])
  expect(await devicesOf(phone)).toEqual([first.jid, second.jid])
  await untouched(second)
  // It stays told, and the next connection does not try it again.
  await world.whatsapp.clearFaults()
  const { logins, loginsRefused } = await world.whatsapp.device(first.jid)
  await api.act('refused', 'restart')
  await connected(
    api,
    'refused',
    (seen) => seen.status.observedGeneration === seen.want.generation && seen.status.jid === second.jid,
  )
  expect((await api.get('refused')).status.superseded).toEqual([device])
  expect(await world.whatsapp.device(first.jid)).toMatchObject({ logins, loginsRefused })
})

test('A4 a crash in between is harmless: the next start finds the device, and takes it off', async () => {
  const here = await world.install()
  const before = await here.start()
  const phone = world.newNumber()
  const first = await pairByQr(before.api, world.whatsapp, 'crash', phone)
  // The server hears nothing of the old device, so its logout waits for an answer when the process dies.
  await world.whatsapp.fault({ kind: 'freeze', phone, device: 1 })
  const second = await scanQr(before.api, world.whatsapp, 'crash', phone, { replace: true })
  await eventually('the unlinking to begin', () => before.log('a superseded device is unlinked').length > 0)
  await before.kill()
  await world.whatsapp.clearFaults()
  const after = await here.start()
  await eventually('one linked device', async () => (await devicesOf(phone)).length === 1)
  expect(await devicesOf(phone)).toEqual([second.jid])
  const seen = await connected(after.api, 'crash', ({ status }) =>
    status.superseded.every(({ state }) => state === 'retired'),
  )
  expect(seen.status.superseded).toMatchObject([{ jid: first.jid, state: 'retired' }])
})
