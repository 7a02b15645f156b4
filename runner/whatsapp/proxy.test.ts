import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import { createServer as createTlsServer, request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { HOOKS_CERTIFICATE, HOOKS_KEY } from '#shared/net/certificate.fixture.ts'
import { guardedConnector } from '#shared/net/guarded-connector.ts'
import { shownProxy } from '#shared/proxy-url.ts'
import { deriveAgeIdentity } from '#shared/sealing/age-identity.ts'
import { sealProxy } from '#shared/sealing/proxy.ts'
import type { Want } from '#shared/session.ts'
import { startTestProxy, type TestProxy } from '#test/proxy.ts'
import { KEY, keyOf } from '../runner.fixture.ts'
import { proxies, type ProxyLine } from './proxy.ts'

const cleanUp: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step()
})

const identity = await deriveAgeIdentity(Buffer.alloc(32, 'the runners of the tests'), 'inbound')
const credentials = { user: 'me', password: 's3cr3t-of-the-proxy' }
const TARGET = 'media.whatsapp.example'

/** What lies behind the proxies, and nowhere else: no name server knows it. */
let behind: number
/** Connections that it got, with how they were asked for. */
let seen: string[]
beforeEach(async () => {
  seen = []
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    request.resume().on('end', () => response.end('from behind'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUp.push(() => void server.close())
  behind = (server.address() as AddressInfo).port
})

async function proxyOf(
  kind: 'http' | 'socks5',
  more: Partial<Parameters<typeof startTestProxy>[0]> = {},
): Promise<TestProxy> {
  const proxy = await startTestProxy({ kind, leadsTo: behind, ...more })
  cleanUp.push(() => proxy.close())
  return proxy
}

const sealed = async (url: string, key = KEY): Promise<Want['proxy']> => ({
  shown: shownProxy(url),
  sealed: await sealProxy(url, identity.recipient, key),
  mark: 'm',
})

function lineOf(
  wanted: Want['proxy'],
  more: { allowPrivate?: boolean; names?: Record<string, string[]>; fleet?: string } = {},
): ProxyLine {
  const guardOf = (allowPrivate: boolean) =>
    guardedConnector({ allowPrivate, lookUp: async (host) => more.names?.[host] ?? ['127.0.0.1'] })
  const line = proxies({
    clock: systemClock,
    guard: guardOf(more.allowPrivate ?? true),
    operatorsGuard: guardOf(true),
    identities: async () => [identity],
    fleet: more.fleet,
    withinMs: 500,
  })(KEY, wanted)
  if (!line) throw new Error('there is a way')
  cleanUp.push(() => line.close())
  return line
}

/** As the WebSocket asks, and as an upload does. */
async function ask(agent: ProxyLine['options']['agent']): Promise<string> {
  const request = httpRequest({ host: TARGET, port: 80, path: '/ws', agent })
  request.end()
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  return Buffer.concat(await answer.toArray()).toString()
}

describe.for<[says: string, kind: 'http' | 'socks5', more: object]>([
  ['an http proxy', 'http', {}],
  ['an http proxy with credentials', 'http', { credentials }],
  ['a socks5 proxy', 'socks5', {}],
  ['a socks5 proxy with credentials', 'socks5', { credentials }],
])('F19: through %s', ([, kind, more]) => {
  test('go the WebSocket, uploads and downloads, and the name is looked up behind it', async () => {
    const proxy = await proxyOf(kind, more)
    const { options } = lineOf(await sealed(proxy.url))
    expect(await ask(options.agent)).toBe('from behind')
    expect(await ask(options.fetchAgent)).toBe('from behind')
    expect(await (await fetch(`http://${TARGET}/download`, options.options)).text()).toBe('from behind')
    expect(seen).toEqual(['GET /ws', 'GET /ws', 'GET /download'])
    expect(proxy.asked).toEqual(Array(3).fill(`${TARGET}:80`))
  })

  test('goes nothing when it refuses, and the reason names it without its credentials', async () => {
    const proxy = await proxyOf(kind, more)
    proxy.mode = 'refuse'
    const line = lineOf(await sealed(proxy.url))
    await expect(ask(line.options.agent)).rejects.toThrow('refused to connect to WhatsApp')
    expect(line.failure).toMatchObject({ proxy: shownProxy(proxy.url) })
    await expect(fetch(`http://${TARGET}/`, line.options.options)).rejects.toThrow('fetch failed')
    expect(seen).toEqual([])
    expect(JSON.stringify(line.failure)).not.toContain(credentials.password)
  })
})

test('F19: a proxy over TLS is known by the certificate of its name', async () => {
  const trusted = getCACertificates('default')
  cleanUp.push(() => setDefaultCACertificates(trusted))
  const host = 'hooks.example.test'
  const proxy = await proxyOf('http', {
    credentials,
    tls: { cert: HOOKS_CERTIFICATE, key: HOOKS_KEY, host },
  })
  const line = lineOf(await sealed(proxy.url))
  await expect(ask(line.options.agent)).rejects.toThrow('could not be reached')
  setDefaultCACertificates([...trusted, HOOKS_CERTIFICATE])
  expect(await ask(lineOf(await sealed(proxy.url)).options.agent)).toBe('from behind')
})

test.for(['http', 'socks5'] as const)(
  'F19: through a %s proxy, TLS is with WhatsApp itself',
  async (kind) => {
    const trusted = getCACertificates('default')
    cleanUp.push(() => setDefaultCACertificates(trusted))
    setDefaultCACertificates([...trusted, HOOKS_CERTIFICATE])
    const server = createTlsServer({ cert: HOOKS_CERTIFICATE, key: HOOKS_KEY }, (_, response) =>
      response.end('sealed on the way'),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanUp.push(() => void server.close())
    const proxy = await proxyOf(kind, { leadsTo: (server.address() as AddressInfo).port })
    const { options } = lineOf(await sealed(proxy.url))
    const request = httpsRequest({ host: 'hooks.example.test', path: '/ws', agent: options.agent })
    request.end()
    const [answer] = (await once(request, 'response')) as [IncomingMessage]
    expect(Buffer.concat(await answer.toArray()).toString()).toBe('sealed on the way')
    const download = await fetch('https://hooks.example.test/download', options.options)
    expect(await download.text()).toBe('sealed on the way')
    expect(proxy.asked).toEqual(['hooks.example.test:443', 'hooks.example.test:443'])
  },
)

test.for(['http', 'socks5'] as const)(
  'F19: a %s proxy that wants other credentials says so',
  async (kind) => {
    const proxy = await proxyOf(kind, { credentials })
    const line = lineOf(await sealed(proxy.url.replace(credentials.password, 'wrong')))
    await expect(ask(line.options.agent)).rejects.toThrow('refused the credentials')
    expect(line.failure?.why).toContain('refused the credentials')
    expect(seen).toEqual([])
  },
)

test.for(['http', 'socks5'] as const)('F19: a %s proxy that hangs is given up', async (kind) => {
  const proxy = await proxyOf(kind)
  proxy.mode = 'hang'
  const line = lineOf(await sealed(proxy.url))
  await expect(ask(line.options.agent)).rejects.toThrow('did not answer in time')
  expect(line.failure?.why).toBe('did not answer in time')
})

test('F19: nothing is connected to when the address is sealed for another session or another identity', async () => {
  const proxy = await proxyOf('http')
  const line = lineOf(await sealed(proxy.url, keyOf('another')))
  await expect(ask(line.options.agent)).rejects.toThrow('is sealed for another identity')
  expect(line.failure).toMatchObject({ why: expect.stringContaining('declare it again') })
  expect([proxy.asked, seen]).toEqual([[], []])
})

test('F19: the host of a proxy is judged anew at each connection, and the connection goes to what was judged', async () => {
  const proxy = await proxyOf('http')
  const named = `http://proxy.example:${proxy.port}`
  const names: Record<string, string[]> = { 'proxy.example': ['127.0.0.1'] }
  const line = lineOf(await sealed(named), { names })
  expect(await ask(line.options.agent)).toBe('from behind')
  names['proxy.example'] = ['0.0.0.0']
  await expect(ask(line.options.agent)).rejects.toThrow('does not lead to a public address')
  const guarded = lineOf(await sealed(named), {
    names: { 'proxy.example': ['127.0.0.1'] },
    allowPrivate: false,
  })
  await expect(ask(guarded.options.agent)).rejects.toThrow('does not lead to a public address')
  expect(proxy.asked).toHaveLength(1)
})

test('F19: a session without a proxy of its own goes by that of the fleet, which may be in a private network', async () => {
  const [own, fleets] = [await proxyOf('socks5'), await proxyOf('http', { credentials })]
  expect(await ask(lineOf(undefined, { fleet: fleets.url, allowPrivate: false }).options.agent)).toBe(
    'from behind',
  )
  expect(await ask(lineOf(await sealed(own.url), { fleet: fleets.url }).options.agent)).toBe('from behind')
  expect([own.asked.length, fleets.asked.length]).toEqual([1, 1])
})

test('a line that is closed opens nothing any more', async () => {
  const proxy = await proxyOf('http')
  const line = lineOf(await sealed(proxy.url))
  line.close()
  await expect(ask(line.options.agent)).rejects.toThrow()
  await expect(fetch(`http://${TARGET}/`, line.options.options)).rejects.toThrow('fetch failed')
  expect(proxy.asked).toEqual([])
})
