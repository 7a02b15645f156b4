#!/usr/bin/env node
import { Command, InvalidArgumentError } from 'commander'
import { startWhatsApp } from './server.ts'

// libsignal prints whole sessions, private keys included, whenever one is closed.
for (const method of ['log', 'info', 'warn', 'error'] as const) console[method] = () => undefined

const port = (text: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0 || value > 65_535)
    throw new InvalidArgumentError('not a port number')
  return value
}

const program = new Command('whatsapp')
  .description('A stand-in for WhatsApp on loopback, for tests. Phones are played through the admin port.')
  .option('--port <number>', 'port of the WebSocket server, 0 for a free one', port, 8790)
  .option('--admin-port <number>', 'port of the remote control and its page, 0 for a free one', port, 8791)
  .option('--no-history', 'give new companions no app-state key and no history')
  .option('--no-edge-routing', 'send no edge_routing at login')
  .parse()

const {
  port: webSocketPort,
  adminPort,
  history,
  edgeRouting,
} = program.opts<{
  port: number
  adminPort: number
  history: boolean
  edgeRouting: boolean
}>()
const whatsapp = await startWhatsApp({ port: webSocketPort, adminPort, history, edgeRouting })
process.stdout.write(
  `${JSON.stringify({ url: whatsapp.url, adminUrl: whatsapp.adminUrl, pid: process.pid })}\n`,
)

// Left to end by itself, Node 24 may spin for ever over the handles of connections that were reset.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void whatsapp.close().finally(() => process.exit()))
}
