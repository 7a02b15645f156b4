import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import type { HttpBindings } from '@hono/node-server'
import { createBeginnings } from './beginnings.ts'

/** Requests that are under way get this long once the process is told to end. */
const GRACE_MS = 3_000

/** Each takes some 0.3 ms, answer and all: a turn stays far below what a watchdog or a lease notices. */
const BEGIN_IN_A_TURN = 32

export interface Serving {
  /** The one that was asked for, or with 0 the one that the system chose. */
  port: number
  /**
   * Takes no more connections, ends event streams (their clients come back with Last-Event-ID) and idle connections at
   * once, lets requests end, cuts what is left after 3 s. Closing twice is harmless.
   */
  close(): Promise<void>
}

/** Serves the API over HTTP. Resolves once it listens. @throws the system's error when the port can't be had */
export async function serveHttp(ask: {
  app: { fetch(request: Request, bindings: unknown): Response | Promise<Response> }
  port: number
  hostname: string
}): Promise<Serving> {
  const streams = new Set<Socket>()
  const begin = createBeginnings(BEGIN_IN_A_TURN)
  const server = createAdaptorServer({
    async fetch(request, bindings) {
      const turn = begin(whoAsks(bindings as HttpBindings))
      if (turn) await turn
      const response = await ask.app.fetch(request, bindings)
      if (response.headers.get('content-type')?.startsWith('text/event-stream')) {
        const { socket } = (bindings as HttpBindings).incoming
        streams.add(socket)
        socket.once('close', () => streams.delete(socket))
      }
      return response
    },
  }) as Server
  server.listen(ask.port, ask.hostname)
  await once(server, 'listening')
  let closed: Promise<void> | undefined
  return {
    port: (server.address() as AddressInfo).port,
    close: () => (closed ??= closeGracefully(server, streams)),
  }
}

/**
 * By whatever it says of itself, since nothing of it is checked yet. Who makes keys up has a place for each; they are refused a
 * moment later, and their address is limited (shared/quotas.ts, `wrongKeysPerSecond`).
 */
const whoAsks = ({ incoming: { headers, socket } }: HttpBindings): string =>
  String(headers['x-api-key'] ?? headers.authorization ?? socket.remoteAddress)

async function closeGracefully(server: Server, streams: ReadonlySet<Socket>): Promise<void> {
  const ended = once(server, 'close')
  server.close()
  for (const socket of streams) socket.destroy()
  server.closeIdleConnections()
  const cut = setTimeout(() => server.closeAllConnections(), GRACE_MS)
  await ended
  clearTimeout(cut)
}
