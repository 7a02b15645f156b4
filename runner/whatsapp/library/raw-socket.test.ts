import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { eventually } from '#test/contract/eventually.ts'
import { stockSocket } from './library.fixture.ts'
import { gateWire, rawSocket } from './raw-socket.ts'

let server: WebSocketServer
let url: string
const frames: Buffer[] = []

beforeEach(async () => {
  frames.length = 0
  server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  server.on('connection', (line) => line.on('message', (frame: Buffer) => frames.push(frame)))
  await once(server, 'listening')
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`
})
afterEach(async () => {
  for (const line of server.clients) line.terminate()
  await new Promise((resolve) => {
    server.close(resolve)
  })
})

test('rc14 has its WebSocket from the first moment, and says what it receives by it', async () => {
  await using connection = stockSocket(url)
  const raw = rawSocket(connection.sock)
  expect(raw).toBeInstanceOf(WebSocket)
  const opened = once(connection.sock.ws, 'open')
  expect(raw?.readyState).toBe(WebSocket.CONNECTING)
  await opened
  expect(raw?.readyState).toBe(WebSocket.OPEN)
})

test('all that rc14 sends goes through it: the first frame arrives as soon as the gate lets it', async () => {
  await using connection = stockSocket(url)
  const raw = rawSocket(connection.sock)
  if (!raw) throw new Error('there is no WebSocket')
  const held: (() => void)[] = []
  gateWire(raw, (write) => held.push(write))
  await eventually('rc14 says hello', () => held.length > 0)
  expect(frames).toEqual([])
  for (const write of held.splice(0)) write()
  await eventually('the hello arrives', () => frames.length > 0)
})

test('whose frame is refused hears of it, and nothing was sent', async () => {
  await using connection = stockSocket(url)
  const raw = rawSocket(connection.sock)
  if (!raw) throw new Error('there is no WebSocket')
  gateWire(raw, (_write, refuse) => refuse(new Error('not now')))
  await once(raw, 'open')
  await expect(connection.sock.sendRawMessage(Buffer.of(1))).rejects.toThrow('not now')
  expect(frames).toEqual([])
})
