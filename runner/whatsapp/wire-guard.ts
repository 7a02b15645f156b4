import type { WebSocket } from 'ws'
import { CodedError } from '#shared/errors.ts'
import type { SessionJournal } from '../state/journal.ts'
import { gateWire } from './library/raw-socket.ts'

const notOurs = (): CodedError => new CodedError('lease_lost', 'write to WhatsApp')

/** Nothing leaves at all once `mayWrite` says no. */
export function guardWire(raw: WebSocket, mayWrite: () => boolean): void {
  gateWire(raw, (write, refuse) => (mayWrite() ? write() : refuse(notOurs())))
}

/**
 * Nothing leaves before all that was stored until then is durable: not a message before its ratchet, not the answer to a
 * pairing before its credentials, not an upload before its pre-keys. And nothing at all once `mayWrite` says no. With
 * nothing waiting it costs two comparisons.
 */
export function guardDurableWire(raw: WebSocket, journal: SessionJournal, mayWrite: () => boolean): void {
  let order: Promise<void> | undefined
  gateWire(raw, (write, refuse) => {
    const put = (): void => (mayWrite() ? write() : refuse(notOurs()))
    if (!order && journal.isDurable) return put()
    const held: Promise<void> = (order ?? Promise.resolve())
      .then(() => journal.durable())
      .then(put, refuse)
      .finally(() => {
        if (order === held) order = undefined
      })
    order = held
  })
}
