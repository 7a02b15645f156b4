import { expect, test } from 'vitest'
import type { Phase, Status } from '#shared/session.ts'
import { controlWorld } from '../control.fixture.ts'
import type { ControlWorld } from '../control.fixture.ts'

const QR = 'https://wa.me/settings/linked_devices#2@ref,noise,identity,secret,1'
const main = '/v1/sessions/main'

async function withSession(want: object = {}): Promise<ControlWorld> {
  const world = await controlWorld()
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main', want } })
  return world
}

const open = (world: ControlWorld, body: object = { method: 'qr' }, headers: Record<string, string> = {}) =>
  world.ask('POST', `${main}/pairing?tenant=acme`, { body, headers })
const look = (world: ControlWorld) => world.ask('GET', `${main}/pairing?tenant=acme`)
const qr = (world: ControlWorld, query = '', headers: Record<string, string> = {}) =>
  world.ask('GET', `${main}/qr?tenant=acme${query}`, { headers })

/** Opens a window and has the runner show a QR in it. */
async function showQr(world: ControlWorld, shown: Partial<Status['pairing']> = { qr: QR }): Promise<void> {
  const { body } = await open(world)
  const expiresAt = world.clock.nowMs() + 20_000
  await world.report('main', {
    phase: 'pairing',
    pairing: { windowId: body.want.pairing.id, expiresAt, ...shown },
  })
}

test('A5 status is asked before a QR is shown: pairing is refused while good credentials exist', async () => {
  await using world = await withSession()
  await world.report('main', { phase: 'connected', authenticatedAt: 1 })
  expect((await open(world)).body).toMatchObject({ status: 409, code: 'already_paired' })
  const replaced = await open(world, { method: 'qr', replace: true })
  expect(replaced.status).toBe(202)
  expect(replaced.body.want.pairing).toMatchObject({ method: 'qr', replace: true })
})

test('A5 pairing is allowed exactly where credentials are missing or put away', async () => {
  const rows: [Phase, authenticatedAt: number | undefined, status: number][] = [
    ['unpaired', undefined, 202],
    ['logged_out', 1, 202],
    ['banned', 1, 202],
    ['failed', undefined, 202],
    ['failed', 1, 409],
    ['conflict', 1, 409],
    ['restricted', 1, 409],
    ['backing_off', 1, 409],
    ['connecting', undefined, 202],
  ]
  await using world = await withSession()
  for (const [phase, authenticatedAt, status] of rows) {
    await world.report('main', { phase, ...(authenticatedAt ? { authenticatedAt } : {}) })
    expect([phase, (await open(world)).status]).toEqual([phase, status])
  }
})

test('opens a window of three minutes for a QR, and answers with the session', async () => {
  await using world = await withSession()
  const { status, body } = await open(world)
  expect(status).toBe(202)
  const { openedAt, expiresAt } = body.want.pairing
  expect(Date.parse(expiresAt) - Date.parse(openedAt)).toBe(180_000)
  expect(body).toMatchObject({
    id: 'main',
    want: { generation: 2, pairing: { method: 'qr', replace: false } },
  })
})

test('F10: opens a window for a code, with the digits of the phone number as people write it', async () => {
  await using world = await withSession()
  const { body } = await open(world, { method: 'code', phone: '+49 (0)151 234-56789', windowMs: 60_000 })
  expect(body.want.pairing).toMatchObject({ method: 'code', phone: '4915123456789' })
  for (const [wrong, field] of [
    [{ method: 'code' }, 'phone'],
    [{ method: 'code', phone: '0151 2345' }, 'phone'],
    [{ method: 'smoke' }, 'method'],
    [{ method: 'qr', windowMs: 5 }, 'windowMs'],
    [{ method: 'qr', phone: '4915123456789' }, 'phone'],
  ] as const) {
    expect((await open(world, wrong)).body).toMatchObject({ status: 422, field })
  }
})

test('opens no second window under one Idempotency-Key', async () => {
  await using world = await withSession()
  const once = { 'idempotency-key': 'click' }
  const first = await open(world, { method: 'qr' }, once)
  const second = await open(world, { method: 'qr' }, once)
  expect(second.body.want).toEqual(first.body.want)
  expect((await open(world)).body.want.pairing.id).not.toBe(first.body.want.pairing.id)
})

test('opens no window for a session that is wanted stopped', async () => {
  await using world = await withSession({ state: 'stopped' })
  expect((await open(world)).body).toMatchObject({ status: 409, code: 'not_running' })
})

test('D3 gives the QR as JSON, by session', async () => {
  await using world = await withSession()
  await showQr(world)
  expect((await qr(world, '&format=json')).body).toEqual({ qr: QR, expiresAt: expect.stringMatching(/Z$/) })
  expect((await qr(world)).body.qr).toBe(QR)
})

test('draws the QR as PNG, SVG or text, by ?format= or Accept', async () => {
  await using world = await withSession()
  await showQr(world)
  const rows = [
    ['png', 'image/png', /^.PNG/],
    ['svg', 'image/svg+xml', /^<svg/],
    ['text', 'text/plain', /▀|▄|█/],
  ] as const
  for (const [format, type, begins] of rows) {
    const byQuery = await qr(world, `&format=${format}`)
    expect(byQuery.headers.get('content-type')).toContain(type)
    expect(byQuery.body).toMatch(begins)
    expect((await qr(world, '', { accept: type })).headers.get('content-type')).toContain(type)
  }
  expect((await qr(world, '&format=gif')).body).toMatchObject({ status: 422, field: 'format' })
})

test('says no_qr while there is none, and once it ran out', async () => {
  await using world = await withSession()
  expect((await qr(world)).body).toMatchObject({ status: 404, code: 'no_qr' })
  await showQr(world)
  expect((await qr(world)).status).toBe(200)
  await world.clock.advance(20_000)
  await world.renew()
  expect((await qr(world)).body.code).toBe('no_qr')
})

test('shows no QR of an earlier window, and none whose runner is dead', async () => {
  await using world = await withSession()
  await showQr(world)
  await world.clock.advance(11_000)
  expect((await qr(world)).body.code).toBe('no_qr')
  await showQr(world, { qr: QR, windowId: 'an-earlier-one' })
  expect((await qr(world)).body.code).toBe('no_qr')
})

test('explains where a pairing is, step by step', async () => {
  await using world = await withSession()
  expect((await look(world)).body).toMatchObject({ state: 'closed' })
  await open(world)
  expect((await look(world)).body).toMatchObject({ state: 'opening', window: { method: 'qr' } })
  await showQr(world)
  expect((await look(world)).body).toMatchObject({ state: 'waiting', qr: QR })
  await world.report('main', {
    phase: 'unpaired',
    reason: 'The QR was scanned, but the phone refused to link.',
  })
  await world.clock.advance(180_000)
  expect((await look(world)).body).toMatchObject({
    state: 'expired',
    explanation: expect.stringContaining('scanned, but the phone refused'),
  })
  await world.report('main', { phase: 'connected', authenticatedAt: 1 })
  expect((await look(world)).body.state).toBe('paired')
})

test('shows a code to type, and then no QR', async () => {
  await using world = await withSession()
  await showQr(world, { code: 'ABCD1234' })
  expect((await look(world)).body).toMatchObject({ state: 'waiting', code: 'ABCD1234' })
  expect((await qr(world)).body.code).toBe('no_qr')
})

test('closes the window, once or twice', async () => {
  await using world = await withSession()
  await open(world)
  const close = () => world.ask('DELETE', `${main}/pairing?tenant=acme`)
  expect((await close()).body.want).toEqual({ state: 'running', generation: 3, metadata: {} })
  expect((await close()).body.want.generation).toBe(3)
})

test('lifts the bar of a session that was logged out when a window is opened for it', async () => {
  await using world = await withSession()
  await world.report('main', { phase: 'logged_out', authenticatedAt: 1 })
  expect((await open(world)).body.want).toMatchObject({ generation: 2, resume: 2 })
})

const waitFor = (world: ControlWorld, more = '&wait=30') => qr(world, `&format=json${more}`)

test('a QR that is waited for is answered as soon as it is up', async () => {
  await using world = await withSession()
  const { body } = await open(world)
  await world.report('main', { phase: 'unpaired', observedGeneration: 1 })
  const waited = waitFor(world)
  await world.report('main', {
    phase: 'pairing',
    pairing: { windowId: body.want.pairing.id, qr: QR, expiresAt: world.clock.nowMs() + 20_000 },
  })
  expect(await waited).toMatchObject({ status: 200, body: { qr: QR } })
})

test('whoever waits longer than half a minute is refused, and whoever waits in vain is told so after his time', async () => {
  await using world = await withSession()
  await open(world)
  await world.report('main', { phase: 'pairing' })
  expect((await waitFor(world, '&wait=31')).body).toMatchObject({ status: 422, field: 'wait' })
  const startMs = world.clock.monotonicMs()
  expect((await waitFor(world, '&wait=10')).body).toMatchObject({ status: 404, code: 'no_qr' })
  expect(world.clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(10_000)
})

test('nobody waits where no QR can come: no window, a code, a window that is over, WhatsApp out of reach', async () => {
  await using world = await withSession()
  const startMs = world.clock.monotonicMs()
  const answers: string[] = []
  const ask = async (): Promise<void> => void answers.push((await waitFor(world)).body.detail)
  await world.report('main', { phase: 'unpaired', reason: 'no credentials' })
  await ask()
  await open(world, { method: 'code', phone: '4915112345678' })
  await ask()
  const { body } = await open(world)
  const endedWindowId = body.want.pairing.id
  await world.report('main', { phase: 'unpaired', reason: 'passkey_required: no', endedWindowId })
  await ask()
  await open(world)
  await world.report('main', { phase: 'pairing', reason: 'the name is not found', attempts: 2 })
  await ask()
  expect(answers).toEqual([
    'There is no QR to scan now. The session is unpaired. no credentials',
    expect.stringContaining('There is no QR to scan now.'),
    'There is no QR to scan now. The session is unpaired. passkey_required: no',
    'There is no QR to scan now. The session is pairing. the name is not found',
  ])
  expect(world.clock.monotonicMs() - startMs).toBeLessThan(30_000)
})
