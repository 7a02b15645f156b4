import { expect, test } from 'vitest'
import { eventually } from './eventually.ts'
import { connected, converse, pairByQr, textsIn } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()

test('A1 A3 A4: killed in mid-life and its disk wiped, a session is connected again without a QR and still one linked device', async () => {
  const { whatsapp } = world
  const installation = await world.install()
  const first = await installation.start()
  const linked = await pairByQr(first.api, whatsapp, 'shop', world.newNumber())
  const peer = world.newNumber()
  await converse(first.api, whatsapp, linked, peer, 'before')

  await first.kill()
  await installation.wipeWorkDir()
  // While it is down.
  await whatsapp.send(peer, { to: linked.phone, text: 'while you were away' })
  const second = await installation.start()

  const session = await connected(second.api, 'shop')
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
  const device = await whatsapp.device(linked.jid)
  expect(device).toMatchObject({
    openMax: 1,
    replaced: 0,
    retriesSent: 0,
    retriesReceived: 0,
    loginsRefused: 0,
  })
})

test('A1 A3 B5: stopped in order, a session leaves nothing open, and a newer version on the same disk goes on with it', async () => {
  const { whatsapp } = world
  const installation = await world.install()
  const first = await installation.start()
  const linked = await pairByQr(first.api, whatsapp, 'shop', world.newNumber())
  const peer = world.newNumber()
  await converse(first.api, whatsapp, linked, peer, 'before')

  expect(await first.stop()).toEqual({ code: 0, signal: null })
  expect(first.log('drained')[0]).toMatchObject({ sessions: 1, left: 0 })
  expect(await whatsapp.device(linked.jid)).toMatchObject({ open: 0 })
  await whatsapp.send(peer, { to: linked.phone, text: 'while you were updated' })

  const second = await installation.start({ MOORING_WHATSAPP_VERSION: '2.3000.1999999999' })
  await connected(second.api, 'shop', ({ status }) => status.jid === linked.jid)
  expect(second.log('session rehydrated')[0]).toMatchObject({ from: 'local', complete: true })
  await eventually('the message of the update', async () =>
    (await textsIn(second.api, 'shop')).includes('while you were updated'),
  )
  await converse(second.api, whatsapp, linked, peer, 'after')
  expect(await whatsapp.device(linked.jid)).toMatchObject({ openMax: 1, replaced: 0, retriesSent: 0 })
})

test('A5: a message that was accepted while no runner was alive is sent once when there is one, and nobody scans anything', async () => {
  const { whatsapp } = world
  const installation = await world.install()
  const first = await installation.start()
  const linked = await pairByQr(first.api, whatsapp, 'shop', world.newNumber())
  await first.kill()

  const control = await installation.start({ MOORING_ROLE: 'control' })
  const alone = await control.api.get('shop')
  expect(alone.status).toMatchObject({ phase: 'pending', jid: linked.jid })
  const peer = world.newNumber()
  await whatsapp.phone(peer)
  const { id, state } = await control.api.send('shop', peer, 'patience')
  expect(state).toBe('queued')

  await installation.start({ MOORING_ROLE: 'runner' })
  await connected(control.api, 'shop')
  await eventually(
    'the message to be delivered',
    () => control.api.sent('shop', id),
    (sent) => sent.state === 'delivered',
  )
  expect((await whatsapp.messages(peer)).map(({ text }) => text)).toEqual(['patience'])
  expect(await whatsapp.device(linked.jid)).toMatchObject({ accepted: 1, duplicates: 0 })
})
