import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createFaultScript, type Rule } from './fault-script.ts'
import { createBucketSet, type BucketSet } from './storage-objects.ts'
import { createStorageRoutes, type Answered } from './storage-routes.ts'

/** Cloud Storage's JSON API on loopback, in memory, with faults on demand. */
export interface StorageServer {
  /** `http://127.0.0.1:port`: what STORAGE_EMULATOR_HOST wants. */
  url: string
  buckets: BucketSet
  /** `METHOD path?query` of every request so far. */
  requests: string[]
  inject(rule: Rule): void
  clearFaults(): void
  close(): Promise<void>
}

/** `of`: another way in to objects that are there already. */
export async function startStorageServer(
  options: { port?: number; buckets?: string[]; of?: BucketSet } = {},
): Promise<StorageServer> {
  const buckets = options.of ?? createBucketSet()
  for (const name of options.buckets ?? []) buckets.addBucket(name)
  const script = createFaultScript()
  const requests: string[] = []
  const routes = createStorageRoutes(buckets, () => url)

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  })
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const line = `${request.method} ${request.url}`
    requests.push(line)
    const fault = script.take(line)
    if (fault?.do === 'reset') {
      request.socket.destroy()
      return
    }
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    if (fault?.do === 'status') {
      const message = `injected ${fault.status}`
      send(response, {
        status: fault.status,
        headers: { 'content-type': 'application/json' },
        body: Buffer.from(JSON.stringify({ error: { code: fault.status, message } })),
      })
      return
    }
    if (fault?.do === 'slow') await sleep(fault.ms)
    const answered = routes({
      method: request.method ?? 'GET',
      url: new URL(request.url ?? '/', url),
      headers: request.headers,
      body: Buffer.concat(chunks),
    })
    if (fault?.do === 'lose_answer') request.socket.destroy()
    else if (fault?.do === 'cut_body') cut(response, answered)
    else send(response, fault?.do === 'damage' ? damaged(answered) : answered)
  }

  return {
    url,
    buckets,
    requests,
    inject: (rule) => script.add(rule),
    clearFaults: () => script.clear(),
    async close() {
      server.closeAllConnections()
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    },
  }
}

function send(response: ServerResponse, { status, headers, body }: Answered): void {
  response.writeHead(status, { ...headers, 'content-length': String(body.length) }).end(body)
}

function cut(response: ServerResponse, { status, headers, body }: Answered): void {
  response.writeHead(status, { ...headers, 'content-length': String(body.length) })
  response.write(body.subarray(0, Math.floor(body.length / 2)), () => response.socket?.destroy())
}

function damaged(answered: Answered): Answered {
  const body = Buffer.from(answered.body)
  if (body.length > 0) body[body.length - 1] = (body[body.length - 1] ?? 0) ^ 1
  return { ...answered, body }
}
