import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { WebSocketServer } from 'ws'
import { adminApp } from './admin.ts'
import { serve } from './connection.ts'
import { faults } from './faults.ts'
import { hello } from './login.ts'
import { route } from './router.ts'
import type { Options, World } from './world.ts'

const HOST = '127.0.0.1'
/** How long a client may take to answer a WebSocket close before its TCP connection is taken from it. */
const CLOSE_WITHIN_MS = 2000

export interface WhatsAppOptions extends Partial<Options> {
  /** Port of the WebSocket server; 0, the default, takes a free one. */
  readonly port?: number
  readonly adminPort?: number
}

/** A running stand-in. */
export interface WhatsApp {
  /** What goes into Baileys' `waWebSocketUrl`. */
  readonly url: string
  readonly port: number
  readonly adminUrl: string
  readonly adminPort: number
  /** The server's own state, for tests in the same process. */
  readonly world: World
  /** Resets every connection and stops listening. Calling it twice is harmless. */
  close(): Promise<void>
}

/** Starts the stand-in on loopback. */
export async function startWhatsApp(options: WhatsAppOptions = {}): Promise<WhatsApp> {
  const world = emptyWorld(options)
  const handlers = {
    hello: hello.bind(undefined, world),
    stanza: route.bind(undefined, world),
  }
  // The types of ws do not know `closeTimeout` yet, which a literal would be refused for.
  const settings = {
    noServer: true,
    perMessageDeflate: false,
    maxPayload: 2 ** 25,
    closeTimeout: CLOSE_WITHIN_MS,
  }
  const sockets = new WebSocketServer(settings)
  const front = createServer((request, response) => {
    const page = request.url === '/sw.js' ? world.webPage : undefined
    if (request.url === '/sw.js') world.log.pageReads++
    response.writeHead(page?.status ?? 404).end(page?.body)
  })
  front.on('upgrade', (request: IncomingMessage, tcp: Socket, head: Buffer) => {
    tcp.setNoDelay(true)
    tcp.on('error', () => tcp.destroy())
    if (refusesUpgrade(world, tcp)) return
    sockets.handleUpgrade(request, tcp, head, (socket) => serve(world, socket, tcp, handlers))
  })
  const answer = getRequestListener(adminApp(world).fetch)
  const admin = createServer((request, response) => void answer(request, response))
  const open = new Set<Socket>()
  for (const server of [front, admin]) {
    server.on('connection', (tcp: Socket) => {
      open.add(tcp)
      tcp.on('close', () => open.delete(tcp))
    })
  }
  const port = await listen(front, options.port ?? 0)
  const adminPort = await listen(admin, options.adminPort ?? 0)
  return {
    url: `ws://${HOST}:${port}/ws/chat`,
    port,
    adminUrl: `http://${HOST}:${adminPort}`,
    adminPort,
    world,
    async close() {
      for (const end of world.ends) end()
      for (const tcp of open) tcp.resetAndDestroy()
      const closed = [front, admin].filter((server) => server.listening).map((server) => stop(server))
      await Promise.all(closed)
    },
  }
}

function emptyWorld(options: WhatsAppOptions): World {
  return {
    options: { history: options.history ?? true, edgeRouting: options.edgeRouting ?? true },
    accounts: new Map(),
    byLid: new Map(),
    written: new Map(),
    groups: new Map(),
    lines: new Set(),
    faults: faults(),
    everyDevice: new Map(),
    log: {
      messages: [],
      retries: [],
      troubles: [],
      unanswered: new Map(),
      connections: 0,
      refusedUpgrades: 0,
      refusedLogins: 0,
      pairings: 0,
      acknowledged: new Map(),
      pageReads: 0,
    },
    webPage: undefined,
    ends: new Set(),
  }
}

/** Answers the upgrade with a set HTTP fault, or leaves it unanswered for ever (status 0). */
function refusesUpgrade(world: World, tcp: Socket): boolean {
  const full = world.faults.admitLogin('http')
  const fault = full === undefined ? world.faults.use('http') : { status: full, headers: {} }
  if (!fault) return false
  world.log.refusedUpgrades++
  if (fault.status === 0) return true
  const headers = Object.entries(fault.headers).map(([name, value]) => `${name}: ${value}\r\n`)
  tcp.end(
    `HTTP/1.1 ${fault.status} Refused\r\n${headers.join('')}Connection: close\r\nContent-Length: 0\r\n\r\n`,
  )
  return true
}

async function listen(server: Server, port: number): Promise<number> {
  server.listen(port, HOST)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function stop(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  await closed
}
