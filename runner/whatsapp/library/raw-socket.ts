import type { WASocket } from '@whiskeysockets/baileys'
import type { WebSocket } from 'ws'
import { handedToLibrary } from '#shared/process.ts'

/**
 * The WebSocket under a connection. rc14 keeps it to itself; without it a dead line takes 30 s to end
 * (docs/facts/baileys.md §0.7), and nothing could hold back what the library sends. It is there as soon as the connection
 * was made, and `undefined` once that has ended.
 */
export const rawSocket = (sock: Pick<WASocket, 'ws'>): WebSocket | undefined =>
  (sock.ws as unknown as { socket: WebSocket | null }).socket ?? undefined

/** Writes a frame now or later, or refuses it: its sender hears of the error. Whoever does neither holds it for ever. */
export type Gate = (write: () => void, refuse: (error: Error) => void) => void

/** From here on every frame that the library sends goes through the gate, which keeps them in order. */
export function gateWire(raw: WebSocket, gate: Gate): void {
  const send = raw.send.bind(raw) as (data: Uint8Array, done?: (error?: Error) => void) => void
  raw.send = (data: unknown, ...rest: unknown[]): void => {
    const done = rest.at(-1) as ((error?: Error) => void) | undefined
    gate(
      () => send(data as Uint8Array, done),
      (error) => done?.(handedToLibrary(error)),
    )
  }
}
