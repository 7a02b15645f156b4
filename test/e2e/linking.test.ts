import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { beforeAll, describe, expect, test } from 'vitest'
import { eventually } from './eventually.ts'
import type { MooringProcess } from './mooring-process.ts'
import { connected, converse, inPhase, pairByQr } from './people.ts'
import { askDoctor } from './doctor.ts'
import { HOOKS_CERTIFICATE, HOOKS_KEY } from '#shared/net/certificate.fixture.ts'
import { useWorld } from './world.ts'

/** What WhatsApp asks of a new link since 2026 (docs/facts/whatsapp-2026.md §1), asked by the stand-in. */

const world = useWorld()
let mooring: MooringProcess
let sessions = 0

beforeAll(async () => {
  mooring = await (await world.install()).start()
})

/** A session with an open window, and the phone that is to be linked. */
async function inWindow(method: 'qr' | 'code' = 'qr'): Promise<{ session: string; phone: string }> {
  const [session, phone] = [`s${++sessions}`, world.newNumber()]
  await world.whatsapp.phone(phone)
  await mooring.api.create(session)
  await mooring.api.openPairing(session, method === 'code' ? { method, phone } : { method })
  return { session, phone }
}

const shownCode = async (session: string, not?: string): Promise<string> =>
  (
    await eventually(
      'a code',
      () => mooring.api.pairing(session),
      ({ code }) => code !== undefined && code !== not,
    )
  ).code ?? ''

const opened = (session: string): number =>
  mooring
    .log('step taken')
    .filter(({ sessionId, step }) => sessionId?.includes(`~${session}~`) && step === 'open').length

const parts = (qr: string): string[] => qr.split(',')

for (const child of ['companion_reg_refresh', 'pair-device-rotate-qr'] as const)
  test(`F7: asked for another secret (${child}), the same QR is shown with a new one at once, on the same connection, and links`, async () => {
    const { api } = mooring
    const { session, phone } = await inWindow()
    const before = await eventually('a QR', () => api.qr(session))
    const { connections } = (await world.whatsapp.report()).totals
    await world.whatsapp.fault({ kind: 'new_secret', child })
    await expect(world.whatsapp.scan(phone, before.qr)).rejects.toMatchObject({ code: 'scan_again' })
    const after = await eventually(
      'another QR',
      () => api.qr(session),
      ({ qr }) => qr !== before.qr,
    )
    expect(parts(after.qr).toSpliced(3, 1)).toEqual(parts(before.qr).toSpliced(3, 1))
    expect((await api.get(session)).status.reason).toContain('scan the one that is shown now')
    const { jid } = await world.whatsapp.scan(phone, after.qr)
    const linked = await connected(api, session, (seen) => seen.status.jid === jid)
    expect(linked.status.reason).toBeNull()
    // One more connection, as after every link (515).
    expect((await world.whatsapp.report()).totals.connections).toBe(connections + 1)
    expect(opened(session)).toBe(2)
    await converse(api, world.whatsapp, { session, phone, jid }, world.newNumber(), child)
  })

test('F7: a code that was typed links although another secret is asked for meanwhile', async () => {
  const { session, phone } = await inWindow('code')
  const code = await shownCode(session)
  await world.whatsapp.fault({ kind: 'new_secret', times: 1 })
  const { acknowledged } = await world.whatsapp.report()
  const { jid } = await world.whatsapp.code(phone, code)
  await connected(mooring.api, session, (seen) => seen.status.jid === jid)
  expect((await world.whatsapp.report()).acknowledged['companion_reg_refresh']).toBe(
    (acknowledged['companion_reg_refresh'] ?? 0) + 1,
  )
})

test('F8: an account behind a passkey is told so at once, the challenge is acknowledged, and the window ends', async () => {
  const { api } = mooring
  const { session, phone } = await inWindow()
  const { qr } = await eventually('a QR', () => api.qr(session))
  await world.whatsapp.fault({ kind: 'passkey', times: 1 })
  await expect(world.whatsapp.scan(phone, qr)).rejects.toMatchObject({ code: 'passkey' })
  const told = await inPhase(api, session, 'unpaired', (seen) => seen.status.lastDisconnect)
  expect(told.status.lastDisconnect).toMatchObject({ why: 'passkey_required' })
  expect(told.status.reason).toMatch(/^passkey_required: /)
  expect(await api.pairing(session)).toMatchObject({ state: 'expired' })
  await expect(api.qr(session)).rejects.toThrow('passkey_required')
  expect((await world.whatsapp.report()).acknowledged).toMatchObject({ passkey_prologue_request: 1 })
  expect(opened(session)).toBe(1)
})

test.for([
  [400, 'look at the number'],
  [404, 'does not know this number'],
  [429, 'too many codes'],
] as const)(
  'a code that WhatsApp refuses with %i is never shown; the reason is, and the window ends',
  async ([error, reason]) => {
    const { api } = mooring
    await world.whatsapp.fault({ kind: 'code_refused', error, times: 1 })
    const { session } = await inWindow('code')
    const told = await inPhase(api, session, 'unpaired', (seen) => seen.status.lastDisconnect)
    expect(told.status).toMatchObject({ lastDisconnect: { why: 'code_refused', code: error } })
    expect(told.status.reason).toContain(reason)
    expect((await api.events(session)).filter(({ to }) => to === 'pairing')).toHaveLength(1)
    expect((await api.pairing(session)).code).toBeUndefined()
  },
)

test('asked for another code, Mooring gets one, shows it, and that one links', async () => {
  const { session, phone } = await inWindow('code')
  const first = await shownCode(session)
  await world.whatsapp.refreshCode(phone)
  const second = await shownCode(session, first)
  const { jid } = await world.whatsapp.code(phone, second)
  await connected(mooring.api, session, (seen) => seen.status.jid === jid)
  expect(opened(session)).toBe(2)
})

describe('a person who pairs while WhatsApp can’t be reached is told why', () => {
  const url = async (what: string): Promise<{ url: string } & AsyncDisposable> => {
    const nothing = { [Symbol.asyncDispose]: async () => undefined }
    if (what === 'name_not_found') return { url: 'wss://no-such-host.invalid/ws/chat', ...nothing }
    if (what === 'connection_refused') return { url: 'ws://127.0.0.1:1/ws/chat', ...nothing }
    const server = createServer({ cert: HOOKS_CERTIFICATE, key: HOOKS_KEY })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {
      url: `wss://127.0.0.1:${(server.address() as AddressInfo).port}/ws/chat`,
      [Symbol.asyncDispose]: async () => {
        server.close()
        server.closeAllConnections()
      },
    }
  }

  test.for([
    ['name_not_found', 'can’t be looked up'],
    ['connection_refused', 'is refused'],
    ['certificate', 'certificate'],
  ] as const)('%s: in the status, in no_qr, in the log and by the doctor', async ([why, words]) => {
    await using whatsapp = await url(why)
    const installation = await world.install({ MOORING_WHATSAPP_URL: whatsapp.url })
    const away = await installation.start()
    await away.api.create('shop')
    await away.api.openPairing('shop')
    // It waits for a QR, and answers as soon as it is clear that none comes.
    await expect(away.api.qr('shop', 30)).rejects.toThrow(words)
    const told = await inPhase(away.api, 'shop', 'pairing', (seen) => seen.status.reason)
    expect(told.status.reason).toContain(words)
    expect(told.status.lastDisconnect).toMatchObject({ why })
    expect(await away.api.pairing('shop')).toMatchObject({ explanation: expect.stringContaining(words) })
    await away.says('connection closed', ({ reason }) => String(reason).includes(words))
    const doctor = await askDoctor(installation.dataDir)
    expect(doctor).toMatchObject({ code: 1, text: expect.stringContaining(words) })
  })

  test('an HTTP answer instead of a connection', async () => {
    await world.whatsapp.fault({ kind: 'http', status: 403 })
    const { session } = await inWindow()
    await expect(mooring.api.qr(session, 30)).rejects.toThrow('answers HTTP 403')
    await inPhase(mooring.api, session, 'failed', (seen) => seen.status.reason?.includes('HTTP 403'))
    await world.whatsapp.clearFaults()
    // A person asks again, and is served.
    await mooring.api.openPairing(session)
    expect((await mooring.api.qr(session, 30)).qr).toContain('2@')
  })
})

/** Newer than any that is built in. */
const CURRENT = 1_999_999_999

describe('a version that WhatsApp refuses', () => {
  test('ends the window of a person who pairs as outdated; the next window is tried with the current version, and links', async () => {
    await world.whatsapp.webPage(`"client_revision":${CURRENT},`)
    const page = world.whatsappUrl.replace(/^ws(.*)\/ws\/chat$/, 'http$1/sw.js')
    const installation = await world.install({ MOORING_WHATSAPP_PAGE_URL: page })
    const mooring = await installation.start()
    const { api } = mooring
    await mooring.says('the current WhatsApp version was read')
    await world.whatsapp.fault({ kind: 'old_build', below: CURRENT })
    await api.create('shop')
    await api.openPairing('shop')
    const told = await inPhase(api, 'shop', 'unpaired', (seen) => seen.status.lastDisconnect)
    expect(told.status).toMatchObject({ lastDisconnect: { code: 405, why: 'outdated' } })
    expect(told.status.reason).toMatch(/^outdated: /)
    expect(await api.pairing('shop')).toMatchObject({ state: 'expired' })
    const phone = world.newNumber()
    await world.whatsapp.phone(phone)
    await api.openPairing('shop')
    const { jid } = await world.whatsapp.scan(phone, (await api.qr('shop', 30)).qr)
    await connected(api, 'shop', (seen) => seen.status.jid === jid)
  })

  test('F11: one session tries the current version first, all follow, and whoever starts later begins with it', async () => {
    await world.whatsapp.webPage(`"client_revision":${CURRENT},`)
    const page = world.whatsappUrl.replace(/^ws(.*)\/ws\/chat$/, 'http$1/sw.js')
    const installation = await world.install({ MOORING_WHATSAPP_PAGE_URL: page })
    const first = await installation.start()
    await first.says('the current WhatsApp version was read')
    const [one, two] = [
      await pairByQr(first.api, world.whatsapp, 'one', world.newNumber()),
      await pairByQr(first.api, world.whatsapp, 'two', world.newNumber()),
    ]
    await world.whatsapp.fault({ kind: 'old_build', below: CURRENT })
    for (const { phone } of [one, two]) await world.whatsapp.fault({ kind: 'cut', phone })
    for (const { session } of [one, two]) await inPhase(first.api, session, 'outdated')
    // A person does not wait for the minute that a fleet waits by itself.
    await first.api.act('one', 'restart')
    for (const { session } of [one, two]) await connected(first.api, session)
    expect(first.log('a newer WhatsApp version is tried')).toHaveLength(1)
    expect((await askDoctor(installation.dataDir)).text).toContain(`WhatsApp version: 2.3000.${CURRENT}`)
    await first.stop()
    const { refusedLogins } = (await world.whatsapp.report()).totals
    const second = await installation.start()
    for (const { session } of [one, two]) await connected(second.api, session)
    expect((await world.whatsapp.report()).totals.refusedLogins).toBe(refusedLogins)
  })
})
