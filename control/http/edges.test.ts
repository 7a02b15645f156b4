import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { serveHttp } from '#shared/http/serve.ts'
import { ADMIN_KEY, controlWorld, type ControlWorld } from '../control.fixture.ts'

const MIB = 1024 * 1024

describe('methods', () => {
  test.for([
    ['DELETE', '/v1/sessions', 'GET, HEAD, POST'],
    ['POST', '/v1/sessions/main', 'DELETE, GET, HEAD, PATCH, PUT'],
    ['GET', '/v1/sessions/main/start', 'POST'],
    ['PUT', '/health/live', 'GET, HEAD'],
    ['POST', '/openapi.json', 'GET, HEAD'],
  ] as const)(
    'that an address does not take are 405 with those that it does: %s %s',
    async ([method, path, allow]) => {
      await using world = await controlWorld()
      const answer = await world.ask(method, path)
      expect(answer.body).toMatchObject({ status: 405, code: 'method_not_allowed' })
      expect(answer.headers.get('allow')).toBe(allow)
    },
  )

  test('are no matter where there is nothing, and nobody without a key learns of them', async () => {
    await using world = await controlWorld()
    const nothing = await world.ask('DELETE', '/v1/openapi-json')
    expect([nothing.status, nothing.headers.get('allow')]).toEqual([404, null])
    expect((await world.ask('DELETE', '/v1/sessions', { key: '' })).status).toBe(401)
  })
})

describe('cursors', () => {
  const PLACES = [
    'sessions',
    'sessions/main/events',
    'sessions/main/messages',
    'sessions/main/messages?direction=in',
  ]

  test.for(PLACES)('F6: of /v1/%s are refused when none of its pages gave them', async (place) => {
    await using world = await controlWorld()
    await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'main' } })
    const joint = place.includes('?') ? '&' : '?'
    for (const after of ['', 'nonsense', '-1', '../x', 'rival~main', '1e9']) {
      const { body } = await world.ask(
        'GET',
        `/v1/${place}${joint}tenant=acme&after=${encodeURIComponent(after)}`,
      )
      expect(body).toMatchObject({ status: 422, code: 'invalid_field', field: 'after' })
    }
  })

  test.for(['nonsense', '0', '9'.repeat(200), "000000000000001-' OR 1"])(
    'Last-Event-ID is refused when it is no id of an event: %s',
    async (id) => {
      await using world = await controlWorld()
      const { body } = await world.ask('GET', '/v1/events', { headers: { 'last-event-id': id } })
      expect(body).toMatchObject({ status: 422, code: 'invalid_field', field: 'Last-Event-ID' })
    },
  )
})

describe('browsers', () => {
  test.for(['/health/live', '/v1/sessions?tenant=acme', '/v1/nothing', '/docs'])(
    'load nothing for %s, show it in no frame, and tell nobody of it',
    async (path) => {
      await using world = await controlWorld()
      const { headers } = await world.ask('GET', path)
      const policy = headers.get('content-security-policy') ?? ''
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toContain('unsafe')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
    },
  )

  test('take the style sheet of the reference page, and it alone', async () => {
    await using world = await controlWorld()
    const { headers, body } = await world.ask('GET', '/docs', { key: '' })
    const [, style] = /<style>([^]*?)<\/style>/.exec(body) ?? []
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style))
    const hash = Buffer.from(digest).toString('base64')
    expect(headers.get('content-security-policy')).toContain(`style-src 'sha256-${hash}';`)
    expect(body).not.toMatch(/ style="| on\w+="/)
  })

  const preflight = (world: ControlWorld, origin: string) =>
    world.ask('OPTIONS', '/v1/sessions', {
      key: '',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'x-api-key',
      },
    })

  test('are let in by no other page unless its origin is named', async () => {
    await using closed = await controlWorld()
    const refused = await preflight(closed, 'https://app.example.com')
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, null])

    await using world = await controlWorld({ corsOrigins: ['https://app.example.com'] })
    const allowed = await preflight(world, 'https://app.example.com')
    expect(allowed.status).toBe(204)
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://app.example.com')
    expect(allowed.headers.get('access-control-allow-headers')).toContain('X-API-Key')
    expect(allowed.headers.get('access-control-allow-credentials')).toBeNull()
    const other = await preflight(world, 'https://evil.example')
    expect(other.headers.get('access-control-allow-origin')).toBeNull()
    const asked = await world.ask('GET', '/v1/sessions?tenant=acme', {
      headers: { origin: 'https://app.example.com' },
    })
    expect(asked.headers.get('access-control-allow-origin')).toBe('https://app.example.com')
    expect(asked.headers.get('vary')).toContain('Origin')
  })
})

describe('a body that is too large', () => {
  /** Sends a head, then octets for as long as the connection takes them. Answers what came back, and how much was sent. */
  async function pour(port: number, head: string, bytes: number): Promise<{ answer: string; sent: number }> {
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => (answer += String(chunk)))
    // A reset is one of the ways in which the other side may end it.
    socket.on('error', () => undefined)
    const closed = once(socket, 'close').catch(() => undefined)
    await once(socket, 'connect')
    socket.write(`${head}X-API-Key: ${ADMIN_KEY}\r\nHost: mooring\r\n\r\n`)
    const piece = Buffer.alloc(64 * 1024, 'x')
    let sent = 0
    while (sent < bytes && socket.writable) {
      const isTaken = socket.write(piece)
      sent += piece.length
      if (!isTaken) await Promise.race([once(socket, 'drain').catch(() => undefined), closed])
    }
    await closed
    return { answer, sent }
  }

  const post = (length: string) =>
    `POST /v1/sessions?tenant=acme HTTP/1.1\r\nContent-Type: application/json\r\n${length}\r\n`

  test('is answered, and its connection is closed as the answer says: nobody reads the rest as a request', async () => {
    await using world = await controlWorld()
    const serving = await serveHttp({ app: world.app, port: 0, hostname: '127.0.0.1' })
    try {
      const { answer } = await pour(serving.port, post(`Content-Length: ${2 * MIB}`), 2 * MIB)
      expect(answer).toMatch(/^HTTP\/1\.1 413 /)
      expect(answer.toLowerCase()).toContain('connection: close')
      expect(answer.toLowerCase()).not.toContain('keep-alive')
      expect(answer).toContain('"code":"too_large"')
    } finally {
      await serving.close()
    }
  })

  test.for([
    ['with its length', `Content-Length: ${1024 * MIB}`],
    ['in chunks', 'Transfer-Encoding: chunked'],
  ] as const)('F6: is not read to its end: %s', async ([, length]) => {
    await using world = await controlWorld()
    const serving = await serveHttp({ app: world.app, port: 0, hostname: '127.0.0.1' })
    try {
      const { sent } = await pour(serving.port, post(length), 256 * MIB)
      expect(sent).toBeLessThan(64 * MIB)
    } finally {
      await serving.close()
    }
  })
})
