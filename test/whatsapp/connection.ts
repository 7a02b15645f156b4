import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { matches } from './faults.ts'
import { noteClose } from './ledger.ts'
import { noiseServer } from './noise-server.ts'
import { decode, encode, type Stanza } from './stanza.ts'
import { note, type Line, type World } from './world.ts'

/** What happens with what a connection brings; the connection itself knows only bytes and frames. */
export interface Handlers {
  /** The client proved its static key and said who it is or wants to be. */
  hello(line: Line, payload: Buffer, clientStatic: Buffer): void
  stanza(line: Line, node: Stanza, seenAtNs: bigint): void
}

let connections = 0

/**
 * Serves one WebSocket: Noise handshake, then stanzas both ways, through the faults that are set.
 *
 * States: waiting for the client's hello, waiting for its finish, open, ending (we closed; what still comes is not
 * heard, as WhatsApp does not hear a connection that it replaced), closed. Frames are handled in the order they
 * came; a frame that does not open ends the connection, as nothing after it could.
 */
export function serve(world: World, socket: WebSocket, tcp: Socket, handlers: Handlers): Line {
  const noise = noiseServer()
  let state: 'hello' | 'finish' | 'open' | 'ending' | 'closed' = 'hello'
  let frozen = false

  const write = (node: Stanza): void => {
    if (state !== 'open' || socket.readyState !== socket.OPEN) return
    if (world.faults.has('silence', line)) return
    socket.send(noise.seal(encode(node)))
  }
  const line: Line = {
    id: ++connections,
    device: undefined,
    registration: undefined,
    active: false,
    get closed() {
      return state === 'closed'
    },
    send(node) {
      if (!world.faults.active.length) return write(node)
      const outward = (fault: { direction: string; match: object }) =>
        fault.direction === 'out' && matches(fault.match, node)
      if (world.faults.use('swallow', line, outward)) return
      const delay = world.faults.use('delay', line, outward)
      if (delay) setTimeout(() => write(node), delay.ms).unref()
      else write(node)
    },
    corrupt: () => socket.send(Buffer.from([0, 0, 20, ...Buffer.alloc(20, 7)])),
    close() {
      if (state !== 'closed') state = 'ending'
      socket.close()
    },
    cut: () => tcp.resetAndDestroy(),
    freeze() {
      frozen = true
      socket.pause()
    },
    thaw() {
      if (!frozen) return
      frozen = false
      socket.resume()
    },
  }

  const take = (frame: Buffer, seenAtNs: bigint): void => {
    if (state === 'open') {
      const node = decode(noise.open(frame))
      if (world.faults.active.length) return takeThroughFaults(node, seenAtNs)
      return handlers.stanza(line, node, seenAtNs)
    }
    if (world.faults.has('silence', line)) return
    if (state === 'hello') {
      state = 'finish'
      socket.send(noise.answerHello(frame))
    } else if (state === 'finish') {
      const { payload, clientStatic } = noise.finish(frame)
      state = 'open'
      handlers.hello(line, payload, clientStatic)
    }
  }
  const takeThroughFaults = (node: Stanza, seenAtNs: bigint): void => {
    if (world.faults.has('silence', line)) return
    const inward = (fault: { direction: string; match: object }) =>
      fault.direction === 'in' && matches(fault.match, node)
    if (world.faults.use('swallow', line, inward)) return
    const delay = world.faults.use('delay', line, inward)
    if (delay) setTimeout(() => state === 'open' && handlers.stanza(line, node, seenAtNs), delay.ms).unref()
    else handlers.stanza(line, node, seenAtNs)
  }

  socket.on('message', (data: Buffer) => {
    const seenAtNs = process.hrtime.bigint()
    try {
      for (const frame of noise.feed(data)) take(frame, seenAtNs)
    } catch (error) {
      note(world.log.troubles, `connection broken: ${String(error)}`)
      socket.terminate()
    }
  })
  socket.on('error', () => socket.terminate())
  socket.on('close', () => {
    state = 'closed'
    line.active = false
    world.lines.delete(line)
    const gone = new Error('the client hung up')
    line.registration?.linking?.done(gone)
    line.registration?.linkCode?.primary?.done(gone)
    if (!line.device) return
    noteClose(line.device.ledger)
    line.device.lastSeen = Date.now()
    if (line.device.line === line) line.device.line = undefined
  })
  world.log.connections++
  world.lines.add(line)
  if (world.faults.has('freeze', line)) line.freeze()
  return line
}
