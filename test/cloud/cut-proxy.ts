import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { carriesAnswer, createFrameReader, endsAnswer } from './http2-frames.ts'

/**
 * A TCP proxy in front of a store, for the ways a network fails:
 * `pass` lets everything through; `drop` cuts every connection; `pause` holds everything back in both directions until the
 * next mode. `cutAnswer` delivers what is sent and cuts a connection once, where an answer would come back.
 */
type CutMode = 'pass' | 'drop' | 'pause'

export interface CutProxy {
  /** `host:port` */
  address: string
  mode(mode: CutMode): void
  /** Cuts before the first byte of the answer that comes after `answers` whole ones, over HTTP/2. */
  cutAnswer(answers: number): void
  /** Whether that cut has been made. */
  hasCut(): boolean
  close(): Promise<void>
}

export async function startCutProxy(target: string): Promise<CutProxy> {
  const [host = '127.0.0.1', port = '0'] = target.split(':')
  const pairs = new Set<readonly [Socket, Socket]>()
  let mode: CutMode = 'pass'
  /** Answers to let through before the cut; absent when none is to be made. */
  let left: number | undefined

  const server = createServer((client) => {
    const upstream = connect(Number(port), host)
    const pair = [client, upstream] as const
    pairs.add(pair)
    const end = (): void => {
      pairs.delete(pair)
      client.destroy()
      upstream.destroy()
    }
    for (const socket of pair) socket.on('error', end).on('close', end)
    if (mode === 'drop') return end()
    if (mode === 'pause') for (const socket of pair) socket.pause()
    client.on('data', (bytes) => upstream.write(bytes))
    const framesOf = createFrameReader()
    upstream.on('data', (bytes: Buffer) => {
      const frames = framesOf(bytes)
      if (left === 0 && frames.some(carriesAnswer)) {
        left = undefined
        return end()
      }
      if (left !== undefined) left = Math.max(0, left - frames.filter(endsAnswer).length)
      return client.write(bytes)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    mode(next) {
      mode = next
      for (const pair of pairs) {
        if (next === 'drop') pair[0].destroy()
        else for (const socket of pair) void (next === 'pause' ? socket.pause() : socket.resume())
      }
    },
    cutAnswer(answers) {
      left = answers
    },
    hasCut: () => left === undefined,
    async close() {
      for (const [client] of pairs) client.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
