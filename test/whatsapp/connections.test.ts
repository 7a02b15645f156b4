import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshAuth, pn, testWorld, until, type TestWorld } from './testing.ts'

const ADA = '4915100000001'
const JID = `${ADA}:1@s.whatsapp.net`

let world: TestWorld

beforeEach(async () => {
  world = await testWorld()
})
afterEach(() => world.close())

const report = async () => (await world.admin.report()).devices[JID]

test('a client comes back with its credentials, and the gap is measured', async () => {
  const first = await world.pair(ADA)
  void first.sock.ws.close()
  expect(await first.ended()).toMatchObject({ status: 428 })
  await until(async () => (await report())?.open === 0, 'the close')
  await world.connect(first.auth).opened()
  const { logins, gapsMs = [], openMax, replaced } = (await report()) ?? {}
  expect({ logins, gaps: gapsMs.length, openMax, replaced }).toEqual({
    logins: 2,
    gaps: 1,
    openMax: 1,
    replaced: 0,
  })
  expect(gapsMs[0]).toBeGreaterThan(0)
})

test('a second connection with the same credentials ends the first with 440', async () => {
  const first = await world.pair(ADA)
  const second = world.connect(first.auth)
  expect(await first.ended()).toMatchObject({
    status: 440,
    data: { tag: 'conflict', attrs: { type: 'replaced' } },
  })
  await second.opened()
  expect(await report()).toMatchObject({ replaced: 1, logins: 2, openMax: 2 })
})

test('unlinking on the phone ends the client with 401, and its credentials stay worthless', async () => {
  const client = await world.pair(ADA)
  await world.admin.unlink(ADA, 1)
  expect(await client.ended()).toMatchObject({
    status: 401,
    data: { tag: 'conflict', attrs: { type: 'device_removed' } },
  })
  expect((await world.admin.phoneReport(ADA)).linkedDevices).toEqual([])
  const again = world.connect(client.auth)
  expect(await again.ended()).toMatchObject({ status: 401, message: 'Connection Failure' })
})

test('a client logs itself out, confirmed, and is no longer linked', async () => {
  const client = await world.pair(ADA)
  const iq = { to: '@s.whatsapp.net', type: 'set', xmlns: 'md' }
  const other = { tag: 'remove-companion-device', attrs: { jid: pn(ADA), reason: 'user_initiated' } }
  await expect(client.sock.query({ tag: 'iq', attrs: { ...iq }, content: [other] })).rejects.toMatchObject({
    data: 403,
  })
  const own = { tag: 'remove-companion-device', attrs: { jid: JID, reason: 'user_initiated' } }
  const answer = await client.sock.query({ tag: 'iq', attrs: { ...iq }, content: [own] })
  expect(answer).toMatchObject({ attrs: { type: 'result' } })
  expect(await client.ended()).toMatchObject({ status: 401 })
  expect((await world.admin.phoneReport(ADA)).linkedDevices).toEqual([])
})

test('somebody with other keys cannot log in as a device', async () => {
  const client = await world.pair(ADA)
  const { me, account } = client.auth.creds
  const thief = freshAuth()
  Object.assign(thief.creds, { me, account })
  expect(await world.connect(thief).ended()).toMatchObject({ status: 401 })
  expect((await report())?.open).toBe(1)
})

test('a login asks nothing that the stand-in does not know', async () => {
  const client = await world.pair(ADA)
  await client.sock.profilePictureUrl(pn(ADA)).catch(() => undefined)
  await client.sock.groupFetchAllParticipating()
  expect(await client.sock.onWhatsApp(ADA, '4915100000099')).toEqual([{ jid: pn(ADA), exists: true }])
  expect((await world.admin.report()).unanswered).toEqual({})
})
