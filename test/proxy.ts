import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

/**
 * A proxy for tests: `http` (CONNECT, over TLS where it has a certificate) or `socks5` (RFC 1928, RFC 1929). It knows who asks, counts
 * what goes through it, and says no when it is told to. Wherever it is asked to connect to, it connects to `leadsTo`, so that
 * whoever gets there without it gets somewhere else.
 */
export interface TestProxy {
  readonly port: number
  /** With its credentials. */
  readonly url: string
  /** Where it was asked to connect to, in order, also in vain. */
  readonly asked: string[]
  /** Connections through it that are open. */
  readonly open: number
  /** Bytes that went through it, both ways. */
  readonly bytes: number
  mode: 'pass' | 'refuse' | 'hang'
  close(): Promise<void>
}

interface Options {
  kind: 'http' | 'socks5'
  leadsTo: number
  credentials?: { user: string; password: string }
  tls?: { cert: string; key: string; host: string }
}

export async function startTestProxy({ kind, leadsTo, credentials, tls }: Options): Promise<TestProxy> {
  const sockets = new Set<Socket>()
  const through = new Set<Socket>()
  const asked: string[] = []
  let bytes = 0
  const wanted = credentials ? `${credentials.user}:${credentials.password}` : undefined

  const serve = (client: Socket): void => {
    sockets.add(client)
    client.on('error', () => client.destroy()).on('close', () => sockets.delete(client))
    if (proxy.mode === 'hang') return
    void (kind === 'http' ? greetHttp(client) : greetSocks(client)).catch(() => client.destroy())
  }
  const pass = async (client: Socket, target: string, ready: Buffer | string): Promise<void> => {
    asked.push(target)
    const upstream = connect(leadsTo, '127.0.0.1')
    sockets.add(upstream)
    upstream.on('error', () => client.destroy())
    await once(upstream, 'connect')
    client.write(ready)
    through.add(client)
    const end = (): void => {
      through.delete(client)
      sockets.delete(upstream)
      upstream.destroy()
      client.destroy()
    }
    client.on('close', end)
    upstream.on('close', end)
    const count = (chunk: Buffer): void => void (bytes += chunk.length)
    client.on('data', count).pipe(upstream)
    upstream.on('data', count).pipe(client)
  }

  const greetHttp = async (client: Socket): Promise<void> => {
    let head = ''
    while (!head.includes('\r\n\r\n')) head += await next(client)
    const target = /^CONNECT (\S+) /.exec(head)?.[1] ?? ''
    const given = /^proxy-authorization: basic (\S+)/im.exec(head)?.[1] ?? ''
    if (wanted !== undefined && Buffer.from(given, 'base64').toString() !== wanted)
      return void client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
    if (proxy.mode === 'refuse') {
      asked.push(target)
      return void client.end('HTTP/1.1 503 Service Unavailable\r\n\r\n')
    }
    await pass(client, target, 'HTTP/1.1 200 Connection Established\r\n\r\n')
  }

  const greetSocks = async (client: Socket): Promise<void> => {
    const methods = await next(client)
    const method = wanted === undefined ? 0 : 2
    if (!methods.subarray(2).includes(method)) return void client.end(Buffer.of(5, 0xff))
    client.write(Buffer.of(5, method))
    if (wanted !== undefined) {
      const login = await next(client)
      const userEnd = 2 + (login[1] ?? 0)
      const given = `${login.subarray(2, userEnd).toString()}:${login.subarray(userEnd + 1).toString()}`
      if (given !== wanted) return void client.end(Buffer.of(1, 1))
      client.write(Buffer.of(1, 0))
    }
    const request = await next(client)
    const isName = request[3] === 3
    const hostEnd = isName ? 5 + (request[4] ?? 0) : 8
    const host = isName ? request.subarray(5, hostEnd).toString() : [...request.subarray(4, 8)].join('.')
    const target = `${host}:${request.readUInt16BE(hostEnd)}`
    const reply = (code: number): Buffer => Buffer.of(5, code, 0, 1, 0, 0, 0, 0, 0, 0)
    if (proxy.mode === 'refuse') {
      asked.push(target)
      return void client.end(reply(2))
    }
    await pass(client, target, reply(0))
  }

  const server: Server = tls ? createTlsServer(tls, serve) : createServer(serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const scheme = kind === 'socks5' ? 'socks5' : tls ? 'https' : 'http'
  const host = tls?.host ?? '127.0.0.1'
  const proxy: TestProxy = {
    port,
    url: `${scheme}://${credentials ? `${credentials.user}:${credentials.password}@` : ''}${host}:${port}`,
    asked,
    get open() {
      return through.size
    },
    get bytes() {
      return bytes
    },
    mode: 'pass',
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return proxy
}

async function next(socket: Socket): Promise<Buffer> {
  const ended = new AbortController()
  const end = (): void => ended.abort()
  socket.once('close', end)
  try {
    const [chunk] = (await once(socket, 'data', { signal: ended.signal })) as [Buffer]
    return chunk
  } finally {
    socket.off('close', end)
  }
}
