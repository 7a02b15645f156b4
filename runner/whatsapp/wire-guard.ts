import type { WebSocket } from 'ws'
import { CodedError } from '#shared/errors.ts'
import { handedToLibrary } from '#shared/process.ts'
import type { SessionJournal } from '../state/journal.ts'

/**
 * Nothing leaves before all that was stored until then is durable: not a message before its ratchet, not the answer to a
 * pairing before its credentials, not an upload before its pre-keys. And nothing at all once `mayWrite` says no. With
 * nothing waiting it costs two comparisons.
 */
export function guardWire(raw: WebSocket, journal: SessionJournal, mayWrite: () => boolean): void {
  const send = raw.send.bind(raw) as (data: Uint8Array, done?: (error?: Error) => void) => void
  let order: Promise<void> | undefined
  raw.send = (data: unknown, ...rest: unknown[]): void => {
    const done = rest.at(-1) as ((error?: Error) => void) | undefined
    const put = (): void => {
      if (mayWrite()) send(data as Uint8Array, done)
      else done?.(handedToLibrary(new CodedError('lease_lost', 'write to WhatsApp')))
    }
    if (!order && journal.isDurable) return put()
    const held: Promise<void> = (order ?? Promise.resolve())
      .then(() => journal.durable())
      .then(put, (error: Error) => done?.(handedToLibrary(error)))
      .finally(() => {
        if (order === held) order = undefined
      })
    order = held
  }
}
