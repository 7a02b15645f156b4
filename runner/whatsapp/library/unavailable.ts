import type { WASocket } from '@whiskeysockets/baileys'
import type { Clock } from '#shared/clock.ts'

/** So that the many changes of one login are taken back once. */
const AFTER_MS = 1_000

/**
 * rc14 marks the account online after a change of the credentials, which silences the phone's notifications
 * (docs/facts/baileys.md §2.6). This takes it back, a moment later, as long as the connection is open.
 */
export class Unavailable {
  readonly #sock: Pick<WASocket, 'sendPresenceUpdate'>
  readonly #clock: Clock
  #cancel: (() => void) | undefined
  #closed = false

  constructor(sock: Pick<WASocket, 'sendPresenceUpdate'>, clock: Clock) {
    this.#sock = sock
    this.#clock = clock
  }

  /** Of an open connection. */
  credsChanged(): void {
    if (this.#cancel || this.#closed) return
    this.#cancel = this.#clock.after(AFTER_MS, () => {
      this.#cancel = undefined
      void this.#sock.sendPresenceUpdate('unavailable').catch(() => undefined)
    })
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#closed = true
    this.#cancel?.()
  }
}
