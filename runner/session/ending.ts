import { CodedError, toError } from '#shared/errors.ts'
import type { SessionParts } from './session-parts.ts'
import { closed } from './socket-events.ts'

/** Ends the connection in order; see `LiveSession.closeSocket`. */
export async function closeConnection(parts: SessionParts): Promise<void> {
  const { superseded, pairing, connection, traffic, held } = parts
  // What comes next may be a restore, after which the device that is being unlinked is the live one.
  superseded.stop()
  const { socket } = connection
  if (socket)
    parts.move('close', () => {
      connection.closing()
      pairing.hide()
    })
  await traffic.outbox.closed()
  if (socket && connection.socket === socket) await socket.handOver()
  // It ended without telling so, which no connection should.
  if (socket && connection.socket === socket) closed(parts, { by: 'us', message: 'handed over' })
  if (held.present) held.present.atRest = true
}

/** Closes in order and makes everything durable; see `LiveSession.settle`. */
export async function settle(parts: SessionParts): Promise<void> {
  const { held, traffic, deps, key } = parts
  await closeConnection(parts)
  await traffic.settle()
  parts.move('settle', () => held.settled())
  const state = held.present
  state?.interrupt()
  if (!state || state.broken) return
  state.journal.close()
  await state.journal.flush().catch((error: unknown) => {
    deps.log.warn({ error: toError(error), sessionId: key }, 'the last entries were not written')
  })
}

/** Ends at once, without a flush; see `LiveSession.drop`. */
export function drop(parts: SessionParts, why: string): void {
  const { held, connection, superseded, traffic } = parts
  parts.move('drop', () => {
    const { socket } = connection
    const state = held.drop()
    superseded.stop()
    traffic.abandon()
    state?.interrupt()
    state?.journal.abandon(new CodedError('lease_lost', `drop session: ${why}`))
    parts.connectionOver(true)
    socket?.drop('us', why)
  })
}
