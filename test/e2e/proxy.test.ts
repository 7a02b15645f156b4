import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestProxy, type TestProxy } from '#test/proxy.ts'
import { eventually } from './eventually.ts'
import type { MooringProcess } from './mooring-process.ts'
import { connected, converse, inPhase, removed, scanQr } from './people.ts'
import { filesBelow } from './secrets.ts'
import { useWorld } from './world.ts'

const world = useWorld()
const credentials = { user: 'me', password: 's3cr3t-of-the-proxy' }

/** Stands where Mooring is told that WhatsApp is: who comes here came past the proxy, which leads to the stand-in. */
let trap: Server
let trapped = 0
let socks: TestProxy
let http: TestProxy
let mooring: MooringProcess
let dataDir: string

beforeAll(async () => {
  trap = createServer((socket) => {
    trapped++
    socket.destroy()
  })
  trap.listen(0, '127.0.0.1')
  await once(trap, 'listening')
  const leadsTo = Number(new URL(world.whatsappUrl).port)
  socks = await startTestProxy({ kind: 'socks5', leadsTo, credentials })
  http = await startTestProxy({ kind: 'http', leadsTo })
  const elsewhere = new URL(world.whatsappUrl)
  elsewhere.port = String((trap.address() as AddressInfo).port)
  const installation = await world.install({
    MOORING_WHATSAPP_URL: elsewhere.href,
    MOORING_ALLOW_PRIVATE_ADDRESSES: 'on',
    MOORING_LOG_LEVEL: 'trace',
    MOORING_BAILEYS_LOG_LEVEL: 'trace',
  })
  dataDir = installation.dataDir
  mooring = await installation.start()
})
afterAll(async () => {
  await Promise.all([socks.close(), http.close()])
  trap.close()
})

test('F19: what a session says to WhatsApp goes through its proxy, from the pairing to the unlinking, and nothing past it', async () => {
  const { api } = mooring
  await api.create('shop', { proxy: { url: socks.url } })
  const linked = await scanQr(api, world.whatsapp, 'shop', world.newNumber())
  const peer = world.newNumber()
  await converse(api, world.whatsapp, linked, peer, 'through the proxy')
  expect(socks.open).toBe(1)
  expect(socks.bytes).toBeGreaterThan(1_000)

  // Refused: it says which proxy, and waits; the other way would have been open.
  socks.mode = 'refuse'
  await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  const waiting = await inPhase(api, 'shop', 'backing_off', ({ status }) => status.attempts > 1)
  expect(waiting.status).toMatchObject({
    reason: `the proxy socks5://***@127.0.0.1:${socks.port} refused to connect to WhatsApp (NotAllowed)`,
    lastDisconnect: { why: 'proxy_failed' },
  })

  // Another proxy is another connection, at once.
  await api.patch('shop', { proxy: { url: http.url } })
  await connected(api, 'shop')
  await converse(api, world.whatsapp, linked, peer, 'through another proxy')
  expect([socks.open, http.open]).toEqual([0, 1])
  socks.mode = 'pass'
  await api.patch('shop', { proxy: { url: socks.url } })
  await eventually('the connection to change its way', () => socks.open === 1 && http.open === 0)
  await connected(api, 'shop')
  expect(await world.whatsapp.device(linked.jid)).toMatchObject({ openMax: 1, replaced: 0 })

  // A removal unlinks by a connection of its own.
  await api.act('shop', 'stop')
  await eventually('the connection to end', () => socks.open === 0)
  const before = socks.asked.length
  expect(await removed(api, 'shop')).toMatchObject({ phase: 'kept' })
  expect(socks.asked.length).toBeGreaterThan(before)
  expect((await world.whatsapp.phoneReport(linked.phone)).linkedDevices).toEqual([])

  expect(trapped).toBe(0)
  const files = await filesBelow(dataDir)
  for (const text of [Buffer.from(mooring.child.lines.join('\n')), ...files.map(({ content }) => content)])
    expect(text.includes(credentials.password)).toBe(false)
})
