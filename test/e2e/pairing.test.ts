import { beforeAll, expect, test } from 'vitest'
import { Problem } from './api.ts'
import { eventually } from './eventually.ts'
import type { Installation } from './installation.ts'
import type { MooringProcess } from './mooring-process.ts'
import { connected, converse, inPhase, jobDone, pairByQr, scanQr } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()
let installation: Installation
let mooring: MooringProcess

beforeAll(async () => {
  installation = await world.install()
  mooring = await installation.start()
})

/** A window of the shortest length there is runs out beside the other tests; the last test looks at its end. */
const SHORTEST_MS = 20_000
beforeAll(async () => {
  await mooring.api.create('nobody')
  await mooring.api.openPairing('nobody', { windowMs: SHORTEST_MS })
})

test('A5 D3: status, list and QR are JSON by session, and the status is known before any QR exists', async () => {
  const { api } = mooring
  await api.create('early')
  await inPhase(api, 'early', 'unpaired')
  expect((await api.get('early')).status).toMatchObject({ phase: 'unpaired', jid: null, phone: null })
  expect((await api.list()).items.map(({ id }) => id)).toContain('early')
  expect(await api.health('early')).toMatchObject({ credentials: { state: 'none', needsPairing: true } })
  const refused: unknown = await api.qr('early').catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(Problem)
  expect(refused).toMatchObject({ status: 404, code: 'no_qr' })

  await api.openPairing('early')
  const { qr, expiresAt } = await eventually('a QR', () => api.qr('early'))
  expect(qr).toMatch(/^(https:\S+#)?2@/)
  expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now())
  expect((await api.get('early')).status).toMatchObject({ phase: 'pairing', pairing: { qr, expiresAt } })
  await api.act('early', 'stop')
})

test('A4: a session pairs by QR and talks both ways; while it is paired another QR is refused', async () => {
  const { whatsapp } = world
  const { api } = mooring
  const phone = world.newNumber()
  const linked = await pairByQr(api, whatsapp, 'by-qr', phone)
  const { status } = await api.get('by-qr')
  expect(status).toMatchObject({ phone, jid: linked.jid, deviceId: 1, attempts: 0 })
  expect(status.authenticatedAt).not.toBeNull()
  expect(status.pairing).toBeUndefined()
  await converse(api, whatsapp, linked, world.newNumber(), 'QR')
  await expect(api.openPairing('by-qr')).rejects.toMatchObject({ status: 409, code: 'already_paired' })
  expect((await whatsapp.phoneReport(phone)).linkedDevices).toHaveLength(1)
})

test('a session pairs by a code that is typed into the phone, and talks both ways', async () => {
  const { whatsapp } = world
  const { api } = mooring
  const phone = world.newNumber()
  await whatsapp.phone(phone)
  await api.create('by-code')
  await api.openPairing('by-code', { method: 'code', phone })
  const { code = '' } = await eventually(
    'a code',
    () => api.pairing('by-code'),
    (seen) => seen.code,
  )
  expect(code).toMatch(/^[A-Z0-9]{8}$/)
  const { jid } = await whatsapp.code(phone, code)
  await connected(api, 'by-code', (seen) => seen.status.jid === jid)
  await converse(api, whatsapp, { session: 'by-code', phone, jid }, world.newNumber(), 'code')
})

test('a second window takes the place of the first: after a QR a code is shown, and the QR links nobody', async () => {
  const { whatsapp } = world
  const { api } = mooring
  const phone = world.newNumber()
  await whatsapp.phone(phone)
  await api.create('changed-mind')
  await api.openPairing('changed-mind')
  const { qr } = await eventually('a QR', () => api.qr('changed-mind'))
  await api.openPairing('changed-mind', { method: 'code', phone })
  const { code = '' } = await eventually(
    'a code',
    () => api.pairing('changed-mind'),
    (seen) => seen.code,
  )
  await expect(whatsapp.scan(phone, qr)).rejects.toMatchObject({ code: 'qr_unknown' })
  const { jid } = await whatsapp.code(phone, code)
  await connected(api, 'changed-mind', (seen) => seen.status.jid === jid)
})

test('when the server has no more QR codes the session is unpaired, and nothing loops', async () => {
  const { whatsapp } = world
  const { api } = mooring
  await api.create('unseen')
  await inPhase(api, 'unseen', 'unpaired')
  const before = (await whatsapp.report()).totals.connections
  await whatsapp.fault({ kind: 'qr_refs', count: 0, times: 1 })
  await api.openPairing('unseen')
  const ended = await inPhase(api, 'unseen', 'unpaired', (seen) => seen.status.lastDisconnect)
  expect(ended.status).toMatchObject({ lastDisconnect: { code: 408, why: 'qr_ended' }, attempts: 0 })
  expect(ended.status.reason).toContain('open another window')
  // A next connection would show a QR, since the server has some again.
  await api.act('unseen', 'restart')
  await inPhase(api, 'unseen', 'unpaired', (seen) => seen.status.observedGeneration === seen.want.generation)
  expect((await whatsapp.report()).totals.connections).toBe(before + 1)
  // A person asks again, and is served.
  await scanQr(api, whatsapp, 'unseen', world.newNumber())
})

test('E4: a reset puts the credentials away, the session is unpaired, and a new QR links it again', async () => {
  const { whatsapp } = world
  const { api } = mooring
  const phone = world.newNumber()
  const first = await pairByQr(api, whatsapp, 'again', phone)
  const { job } = await api.ask('again', 'reset')
  // Nobody but the phone can remove a device that has lost its credentials: its person is told which one.
  expect(await jobDone(api, 'again', job)).toMatchObject({ stillLinked: first.jid })
  const unpaired = await inPhase(api, 'again', 'unpaired')
  expect(unpaired.status).toMatchObject({ jid: null, authenticatedAt: null })
  expect((await api.snapshots('again')).map(({ label }) => label)).toContain('reset')
  const second = await scanQr(api, whatsapp, 'again', phone)
  expect(second.jid).not.toBe(first.jid)
  await converse(api, whatsapp, second, world.newNumber(), 'again')
})

test('an open window that nobody uses closes by itself, and the session opens no further connection', async () => {
  const { api } = mooring
  const ended = await eventually(
    'the window to run out',
    () => api.get('nobody'),
    (seen) => seen.status.phase === 'unpaired' && seen.status.observedGeneration === seen.want.generation,
    SHORTEST_MS + 10_000,
  )
  expect(ended.status.pairing).toBeUndefined()
  await expect(api.qr('nobody')).rejects.toMatchObject({ code: 'no_qr' })
  expect(await api.pairing('nobody')).toMatchObject({ state: 'expired' })
  expect(
    mooring
      .log('step taken')
      .filter(({ sessionId, step }) => sessionId?.startsWith('acme~nobody~') === true && step === 'open'),
  ).toHaveLength(1)
})
