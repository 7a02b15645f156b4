import { createServer, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createSecureContext, getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import { HOOKS_CERTIFICATE, HOOKS_KEY } from './certificate.fixture.ts'
import { firstBytes, guardedConnector, type GuardedAnswer, type GuardedRequest } from './guarded-connector.ts'
import { lookUpByServers } from './look-up.ts'

const cleanUp: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step()
})

async function listening(server: Server, host = '127.0.0.1', port = 0): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(port, host, resolve)
  })
  cleanUp.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => {
      server.close(resolve)
    })
  })
  return (server.address() as AddressInfo).port
}

/** A receiver on this machine, and every request that reached it. */
async function receiver(
  answer: (response: ServerResponse) => void = (response) => response.end('thanks'),
  place: { host?: string; port?: number } = {},
) {
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.headers.host}${request.url}`)
    answer(response)
  })
  return { port: await listening(server, place.host, place.port), seen }
}

/** A connector whose names lead to these addresses, one list after the other; the last one stays. */
function guard(options: { allowPrivate?: boolean; names?: Record<string, string[][]> } = {}) {
  const names = new Map(Object.entries(options.names ?? {}))
  const lookedUp: string[] = []
  const connector = guardedConnector({
    allowPrivate: options.allowPrivate ?? false,
    lookUp: async (host) => {
      lookedUp.push(host)
      const lists = names.get(host) ?? []
      const found = lists.length > 1 ? lists.shift() : lists[0]
      if (!found) throw new CodedError('address_unknown', 'the name of that address was not found')
      return found
    },
  })
  cleanUp.push(() => connector.close())
  return { ...connector, lookedUp }
}

const get: GuardedRequest = { method: 'GET', headers: {}, timeoutMs: 30_000, answerBytesMax: 1_024 }
const text = async (answer: GuardedAnswer) => ({
  status: answer.status,
  text: (await firstBytes(answer.body, 1_024)).toString(),
})
const PUBLIC = '93.184.215.14'

describe('an address of this machine or its network', () => {
  test.for<[way: string, host: string]>([
    ['as a literal', '127.0.0.1'],
    ['short', '127.1'],
    ['in hexadecimal', '0x7f000001'],
    ['in hexadecimal, by parts', '0x7f.0.0.1'],
    ['in decimal', '2130706433'],
    ['in octal', '0177.0.0.1'],
    ['in digits of other scripts', '１２７.０.０.１'],
    ['percent-encoded', '%31%32%37.0.0.1'],
    ['in IPv6', '[::1]'],
    ['mapped', '[::ffff:127.0.0.1]'],
    ['mapped, in hexadecimal', '[::ffff:7f00:1]'],
    ['behind NAT64', '[64:ff9b::7f00:1]'],
    ['behind 6to4', '[2002:7f00:1::1]'],
    ['of nowhere', '0.0.0.0'],
    ['by name', 'localhost'],
    ['by name with a dot', 'localhost.'],
    ['by a name of a stranger', 'inside.example.test'],
    ['by a name that has a public one too', 'both.example.test'],
    ['that is the metadata of the cloud', '169.254.169.254'],
    ['that is the metadata of the cloud, by name', 'metadata.google.internal'],
  ])('%s is refused, at registration and at every try: %s', async ([, host]) => {
    const world = guard({
      names: {
        localhost: [['127.0.0.1']],
        'localhost.': [['127.0.0.1']],
        'inside.example.test': [['10.0.0.7']],
        'both.example.test': [[PUBLIC, '127.0.0.1']],
        'metadata.google.internal': [['169.254.169.254']],
      },
    })
    const { port, seen } = await receiver()
    const refusal = { code: 'address_not_allowed', retry: 'never' }
    await expect(world.judge(`http://${host}:${port}/`, 'web')).rejects.toMatchObject(refusal)
    await expect(world.judge(`socks5://${host}:${port}`, 'proxy')).rejects.toMatchObject(refusal)
    await expect(world.request(`http://${host}:${port}/`, get, text)).rejects.toMatchObject(refusal)
    await expect(world.request(`https://${host}:${port}/`, get, text)).rejects.toMatchObject(refusal)
    expect(seen).toEqual([])
  })

  test('is refused also when the name led to a public one at registration', async () => {
    const { port, seen } = await receiver()
    const world = guard({ names: { 'hooks.example.test': [[PUBLIC], ['127.0.0.1']] } })
    const address = `http://hooks.example.test:${port}/`
    expect(await world.judge(address, 'web')).toMatchObject({ addresses: [PUBLIC] })
    await expect(world.request(address, get, text)).rejects.toMatchObject({ code: 'address_not_allowed' })
    expect(seen).toEqual([])
  })

  test('is served where private ones are allowed, but not the metadata of the cloud', async () => {
    const { port, seen } = await receiver()
    const world = guard({ allowPrivate: true, names: { 'metadata.google.internal': [['169.254.169.254']] } })
    expect(await world.request(`http://127.0.0.1:${port}/a?b=c`, get, text)).toEqual({
      status: 200,
      text: 'thanks',
    })
    expect(seen).toEqual([`GET 127.0.0.1:${port}/a?b=c`])
    for (const host of ['169.254.169.254', 'metadata.google.internal']) {
      await expect(world.request(`http://${host}/`, get, text)).rejects.toMatchObject({
        code: 'address_not_allowed',
      })
    }
  })
})

describe('the socket', () => {
  test('goes to the address that was judged: the name is looked up once', async () => {
    const here = await receiver((response) => response.end('the judged one'))
    await receiver((response) => response.end('another'), { host: '127.0.0.2', port: here.port })
    const world = guard({
      allowPrivate: true,
      names: { 'hooks.example.test': [['127.0.0.1'], ['127.0.0.2']] },
    })
    expect(await world.request(`http://hooks.example.test:${here.port}/`, get, text)).toMatchObject({
      text: 'the judged one',
    })
    expect(world.lookedUp).toEqual(['hooks.example.test'])
    expect(here.seen).toEqual([`GET hooks.example.test:${here.port}/`])
  })

  test('tries the next of the addresses that were judged when the first one is closed', async () => {
    const { port } = await receiver(undefined, { host: '127.0.0.2' })
    const world = guard({ allowPrivate: true, names: { 'hooks.example.test': [['127.0.0.1', '127.0.0.2']] } })
    expect(await world.request(`http://hooks.example.test:${port}/`, get, text)).toMatchObject({
      status: 200,
    })
  })

  test('speaks TLS under the name, not under the number', async () => {
    const before = getCACertificates('default')
    setDefaultCACertificates([...before, HOOKS_CERTIFICATE])
    cleanUp.push(() => setDefaultCACertificates(before))
    const names: string[] = []
    const secure = { cert: HOOKS_CERTIFICATE, key: HOOKS_KEY }
    const server = createTlsServer(
      {
        ...secure,
        SNICallback: (name, done) => {
          names.push(name)
          done(null, createSecureContext(secure))
        },
      },
      (_request, response) => response.end('in private'),
    )
    const port = await listening(server)
    const world = guard({
      allowPrivate: true,
      names: { 'hooks.example.test': [['127.0.0.1']], 'other.example.test': [['127.0.0.1']] },
    })
    expect(await world.request(`https://hooks.example.test:${port}/`, get, text)).toMatchObject({
      text: 'in private',
    })
    expect(names).toEqual(['hooks.example.test'])
    // Nobody else's certificate will do.
    await expect(world.request(`https://other.example.test:${port}/`, get, text)).rejects.toMatchObject({
      code: 'no_answer',
    })
  })
})

describe('an address', () => {
  const world = () => guard({ names: { 'hooks.example.test': [[PUBLIC]], 'proxy.example.test': [[PUBLIC]] } })

  test.for<[why: string, address: string]>([
    ['of another scheme', 'ftp://hooks.example.test/'],
    ['of a file', 'file:///etc/passwd'],
    ['of data', 'data:text/plain,hello'],
    ['of a proxy', 'socks5://hooks.example.test'],
    ['with a name', 'https://user@hooks.example.test/'],
    ['with a password', 'https://user:s3cr3t@hooks.example.test/'],
    ['with a password alone', 'https://:s3cr3t@hooks.example.test/'],
    ['that is too long', `https://hooks.example.test/${'s3cr3t'.repeat(400)}`],
    ['that is none', 'hooks.example.test'],
    ['with port 0', 'https://hooks.example.test:0/'],
    ['that is empty', ''],
  ])('%s is refused for requests, and is not repeated', async ([, address]) => {
    const refusal = { code: 'address_not_allowed', message: expect.not.stringContaining('s3cr3t') }
    await expect(world().judge(address, 'web')).rejects.toMatchObject(refusal)
    await expect(world().request(address, get, text)).rejects.toMatchObject(refusal)
  })

  test.for<[address: string, port: number]>([
    ['socks5://user:s3cr3t@proxy.example.test', 1080],
    ['socks5h://proxy.example.test:9050', 9050],
    ['http://user:s3cr3t@proxy.example.test', 80],
    ['https://proxy.example.test', 443],
  ])('of a proxy may hold credentials: %s', async ([address, port]) => {
    expect(await world().judge(address, 'proxy')).toMatchObject({
      host: 'proxy.example.test',
      port,
      addresses: [PUBLIC],
    })
  })

  test.for(['ftp://proxy.example.test', 'socks5://', 'socks5:proxy', 'socks5://proxy.example.test:0'])(
    'of a proxy is refused when it is none: %s',
    async (address) => {
      await expect(world().judge(address, 'proxy')).rejects.toMatchObject({ code: 'address_not_allowed' })
    },
  )

  test('whose name is not found is refused for now only', async () => {
    const refusal = { code: 'address_unknown', retry: 'later' }
    await expect(world().judge('https://new.example.test/', 'web')).rejects.toMatchObject(refusal)
    await expect(world().request('https://new.example.test/', get, text)).rejects.toMatchObject(refusal)
  })
})

describe('F3: an answer', () => {
  /** A connector that may speak to a receiver on this machine, and that receiver. */
  async function world(answer: (response: ServerResponse) => void) {
    const { port, seen } = await receiver(answer)
    return { connector: guard({ allowPrivate: true }), address: `http://127.0.0.1:${port}/`, seen }
  }

  test('that leads elsewhere is an answer like any other', async () => {
    const elsewhere = await receiver()
    const { connector, address } = await world((response) => {
      response.writeHead(302, { location: `http://127.0.0.1:${elsewhere.port}/` }).end()
    })
    const location = `http://127.0.0.1:${elsewhere.port}/`
    expect(
      await connector.request(address, get, async ({ status, headers }) => [status, headers['location']]),
    ).toEqual([302, location])
    expect(elsewhere.seen).toEqual([])
  })

  test('is given with what it was asked', async () => {
    const { connector, address, seen } = await world((response) => {
      response.writeHead(503, { 'retry-after': '7' }).end('later')
    })
    const post: GuardedRequest = { ...get, method: 'POST', headers: { 'webhook-id': 'e' }, body: '{}' }
    expect(
      await connector.request(address, post, async ({ status, headers, body }) => [
        status,
        headers['retry-after'],
        (await firstBytes(body, 3)).toString(),
      ]),
    ).toEqual([503, '7', 'lat'])
    expect(seen).toEqual([expect.stringMatching(/^POST /)])
  })

  test('without end is cut where it may not go on', async () => {
    const { connector, address } = await world((response) => {
      const more = () => void (!response.destroyed && response.write(Buffer.alloc(64 * 1024), more))
      more()
    })
    let bytes = 0
    const count = async ({ body }: GuardedAnswer) => {
      for await (const part of body) bytes += part.length
    }
    await expect(
      connector.request(address, { ...get, answerBytesMax: 100_000 }, count),
    ).rejects.toMatchObject({
      code: 'answer_too_large',
      retry: 'never',
    })
    expect(bytes).toBeLessThanOrEqual(100_000)
  })

  test('of exactly the size that is allowed is whole', async () => {
    const { connector, address } = await world((response) => response.end(Buffer.alloc(1_024, 'x')))
    expect((await connector.request(address, get, text)).text).toHaveLength(1_024)
  })

  test.for<[way: string, answer: (response: ServerResponse) => void]>([
    ['that never begins', () => {}],
    ['that stops in its headers', (response) => void response.socket?.write('HTTP/1.1 200 OK\r\nA: ')],
    [
      'that stops in its body',
      (response) => void response.writeHead(200, { 'content-length': 9 }).write('x'),
    ],
    [
      'that comes drop by drop',
      (response) => {
        const drop = setInterval(() => response.write('.'), 5)
        response.on('close', () => clearInterval(drop))
      },
    ],
  ])('%s is given up in time', async ([, answer]) => {
    const { connector, address } = await world(answer)
    const failure = { code: 'no_answer', retry: 'later', message: expect.stringContaining('in time') }
    await expect(
      connector.request(address, { ...get, timeoutMs: 150, answerBytesMax: 1e9 }, async ({ body }) => {
        await firstBytes(body, 1e9)
      }),
    ).rejects.toMatchObject(failure)
  })

  test.for<[way: string, answer: (response: ServerResponse) => void]>([
    ['that breaks off', (response) => void response.socket?.destroy()],
    [
      'that breaks off in its body',
      (response) => {
        response.writeHead(200, { 'content-length': 9 }).write('x', () => response.socket?.destroy())
      },
    ],
    ['that is no HTTP', (response) => void response.socket?.end('220 mail.example.test ESMTP\r\n')],
    [
      'whose headers have no end',
      (response) => {
        response.writeHead(200, { a: 'a'.repeat(20_000) }).end()
      },
    ],
  ])('%s is no answer, for now', async ([, answer]) => {
    const { connector, address } = await world(answer)
    await expect(connector.request(address, get, text)).rejects.toMatchObject({
      code: 'no_answer',
      retry: 'later',
    })
  })

  test('that nobody waits for any more ends with the reason why', async () => {
    const stop = new AbortController()
    const { connector, address } = await world(() => stop.abort(new Error('lease lost')))
    await expect(connector.request(address, { ...get, signal: stop.signal }, text)).rejects.toThrow(
      'lease lost',
    )
  })

  test('that its reader can’t use fails with the reader’s own error', async () => {
    const { connector, address } = await world((response) => response.end('thanks'))
    await expect(
      connector.request(address, get, async () => {
        throw new Error('disk full')
      }),
    ).rejects.toThrow('disk full')
  })
})

test('a closed port is no answer, for now', async () => {
  const server = createServer()
  const port = await listening(server)
  await cleanUp.pop()?.()
  const world = guard({ allowPrivate: true })
  await expect(world.request(`http://127.0.0.1:${port}/`, get, text)).rejects.toMatchObject({
    code: 'no_answer',
  })
})

test('a name server that says nothing holds nobody up', async () => {
  const connector = guardedConnector({
    allowPrivate: false,
    // The port of a name server, where none is.
    lookUp: lookUpByServers({ servers: ['127.0.0.1:9'], withinMs: 100 }),
  })
  cleanUp.push(() => connector.close())
  await expect(connector.judge('https://hooks.example.test/', 'web')).rejects.toMatchObject({
    code: 'address_unknown',
  })
})
