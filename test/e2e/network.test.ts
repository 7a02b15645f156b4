import { beforeAll, expect, test } from 'vitest'
import type { FaultInput } from '#test/whatsapp/faults.ts'
import { eventually } from './eventually.ts'
import type { MooringProcess } from './mooring-process.ts'
import { connected, converse, inPhase, pairByQr, type Linked } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()
let mooring: MooringProcess
let sessions = 0

beforeAll(async () => {
  const env = { MOORING_KEEP_ALIVE_EVERY_MS: '400', MOORING_CONNECT_TIMEOUT_MS: '700' }
  mooring = await (await world.install(env)).start()
})

const paired = (): Promise<Linked> =>
  pairByQr(mooring.api, world.whatsapp, `s${++sessions}`, world.newNumber())

/** How the log told of the session's closes, the oldest first. */
const closes = (session: string) =>
  mooring.log('connection closed').filter(({ sessionId }) => sessionId?.startsWith(`acme~${session}~`))

/** Connected once more than `logins` times, as the server counts, with the same credentials. */
async function reconnected(linked: Linked, logins: number): Promise<void> {
  const { api } = mooring
  await eventually(
    `login ${logins + 1} of ${linked.session}`,
    () => world.whatsapp.device(linked.jid),
    (device) => device.logins > logins && device.open === 1,
  )
  const session = await connected(api, linked.session)
  expect(session.status).toMatchObject({ jid: linked.jid })
  expect((await api.events(linked.session)).filter(({ to }) => to === 'pairing')).toHaveLength(1)
  expect((await world.whatsapp.phoneReport(linked.phone)).linkedMax).toBe(1)
  expect(await world.whatsapp.device(linked.jid)).toMatchObject({ openMax: 1, replaced: 0 })
}

const blows: readonly [
  says: string,
  fault: FaultInput,
  told: { code?: number; why: string; next: string },
][] = [
  [
    'A2 B5 D1 D4: a TCP connection that is cut is opened again after a pause, with the same credentials',
    { kind: 'cut' },
    { code: 428, why: 'connection_closed', next: 'back_off' },
  ],
  [
    'A2 B3 B5 D1: a WebSocket that the server closes is opened again after a pause',
    { kind: 'xmlstreamend' },
    { code: 428, why: 'connection_closed', next: 'back_off' },
  ],
  [
    'A2 D1 D4: after 503 the session connects again after a pause',
    { kind: 'stream_error', code: 503 },
    { code: 503, why: 'unavailable', next: 'back_off' },
  ],
  [
    'A2 D1: after 500 without a known cause the session connects again after a pause',
    { kind: 'stream_error', child: 'ack' },
    { code: 500, why: 'server_trouble', next: 'back_off' },
  ],
  [
    'D1: after 515 the session connects again at once, and it counts as no failure',
    { kind: 'stream_error', code: 515 },
    { code: 515, why: 'restart_required', next: 'reconnect' },
  ],
]
test.for(blows)('%s', async ([, fault, told]) => {
  const linked = await paired()
  const { logins } = await world.whatsapp.device(linked.jid)
  const before = closes(linked.session).length
  expect(await world.whatsapp.fault({ ...fault, phone: linked.phone } as FaultInput)).toMatchObject({
    hit: 1,
  })
  await reconnected(linked, logins)
  const line = await eventually('the log to tell of it', () => closes(linked.session)[before])
  expect(line).toMatchObject(told)
  const { lastDisconnect, attempts } = (await mooring.api.get(linked.session)).status
  expect(lastDisconnect).toMatchObject({ code: told.code, why: told.why })
  expect(attempts).toBe(told.next === 'back_off' ? 1 : 0)
  await converse(mooring.api, world.whatsapp, linked, world.newNumber(), told.why)
})

test('A2 B3 B5: a line that has gone silent is found by its missed pings, and replaced', async () => {
  const linked = await paired()
  const { logins } = await world.whatsapp.device(linked.jid)
  await world.whatsapp.fault({ kind: 'silence', phone: linked.phone })
  await eventually('the silence to be noticed', () => closes(linked.session).length > 1)
  await world.whatsapp.clearFaults()
  await reconnected(linked, logins)
  expect(mooring.log('watchdog ends a connection').at(-1)).toMatchObject({
    sessionId: expect.stringContaining(`acme~${linked.session}~`),
    why: 'no frame for too long',
  })
})

test('A2 B5: a server that reads nothing any more is left behind, and nothing of it is waited for', async () => {
  const linked = await paired()
  const { logins } = await world.whatsapp.device(linked.jid)
  await world.whatsapp.fault({ kind: 'freeze', phone: linked.phone, times: 1 })
  await eventually('the freeze to be noticed', () => closes(linked.session).length > 1)
  await world.whatsapp.clearFaults()
  await eventually(
    'a login after the freeze',
    () => world.whatsapp.device(linked.jid),
    (device) => device.logins > logins && device.open === 1,
  )
  await connected(mooring.api, linked.session)
})

test('B5 D1 D4: a WebSocket that times out while it opens is tried again and again, and the credentials are kept', async () => {
  const linked = await paired()
  const { logins } = await world.whatsapp.device(linked.jid)
  await world.whatsapp.fault({ kind: 'http', status: 0, times: 2 })
  await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  await reconnected(linked, logins)
  expect(
    closes(linked.session)
      .slice(-3)
      .map(({ why, attempts }) => [why, attempts]),
  ).toEqual([
    ['connection_closed', 1],
    ['timed_out', 2],
    ['timed_out', 3],
  ])
})

test('D4 E2: each failure in a row doubles the longest pause, says when it tries again, and alerts after three', async () => {
  const linked = await paired()
  await world.whatsapp.fault({ kind: 'failure', reason: 503, phone: linked.phone, times: 3 })
  await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  const waiting = await inPhase(
    mooring.api,
    linked.session,
    'backing_off',
    ({ status }) => status.attempts >= 3 && status.nextAttemptAt,
  )
  expect(waiting.status.lastDisconnect).toMatchObject({ code: 503, why: 'unavailable' })
  await connected(mooring.api, linked.session)
  const told = closes(linked.session).slice(1)
  expect(told.map(({ attempts }) => attempts)).toEqual([1, 2, 3, 4])
  for (const { attempts, retryInMs } of told) {
    expect(Number(retryInMs)).toBeLessThanOrEqual(1000 * 2 ** (Number(attempts) - 1))
  }
  expect(told.filter(({ alert }) => alert === true).map(({ attempts }) => attempts)).toEqual([4])
})

test('B5: a restart by hand ends the wait for the next try at once', async () => {
  const { api } = mooring
  const linked = await paired()
  await world.whatsapp.fault({ kind: 'failure', reason: 503, phone: linked.phone })
  await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  // Far enough for its own next try not to be taken for the one that was asked for.
  await inPhase(
    api,
    linked.session,
    'backing_off',
    ({ status }) => Date.parse(status.nextAttemptAt ?? '') - Date.now() > 3_000,
  )
  await world.whatsapp.clearFaults()
  const askedMs = performance.now()
  await api.act(linked.session, 'restart')
  const session = await connected(api, linked.session)
  expect(performance.now() - askedMs).toBeLessThan(3_000)
  expect(session.status.attempts).toBe(0)
})

test('E2: attempts in a row end at the bound of the want; a person resumes it, and the count starts anew', async () => {
  const { api } = mooring
  const linked = await paired()
  await api.patch(linked.session, { reconnect: { maxAttempts: 2 } })
  await world.whatsapp.fault({ kind: 'failure', reason: 500, phone: linked.phone, times: 1 })
  await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  const failed = await inPhase(api, linked.session, 'failed')
  expect(failed.status).toMatchObject({ attempts: 2, lastDisconnect: { code: 500 } })
  expect(failed.status.reason).toContain('2 attempts failed in a row')
  expect(await api.health(linked.session)).toMatchObject({
    healthy: false,
    credentials: { needsPairing: false },
  })

  const { logins } = await world.whatsapp.device(linked.jid)
  await api.act(linked.session, 'resume')
  await reconnected(linked, logins)
  expect((await api.get(linked.session)).status.attempts).toBe(0)
  // One more loss is the first of a new row, not the third of the old one.
  await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  await reconnected(linked, logins + 1)
})
