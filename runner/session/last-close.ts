import type { Status } from '#shared/session.ts'
import { judgeClose, type Verdict } from './disconnect.ts'
import type { UnaskedClose } from '../whatsapp/socket.ts'

type Disconnect = NonNullable<Status['lastDisconnect']>

/** A close that no pass has dealt with yet. */
export interface PendingVerdict {
  readonly verdict: Verdict
  /** The pairing window that the connection was opened for. */
  readonly windowId: string | undefined
}

/** How the last connection that was not ended by us came to its end, and what is still to be done about it. */
export class LastClose {
  #disconnect: Disconnect | undefined
  #pending: PendingVerdict | undefined
  #reason: string | undefined

  get disconnect(): Disconnect | undefined {
    return this.#disconnect
  }

  /** What there is to say of it beyond its word, for people. */
  get reason(): string | undefined {
    return this.#reason
  }

  get pending(): PendingVerdict | undefined {
    return this.#pending
  }

  /** A connection ended without being asked to. Answers what that means. */
  came(report: UnaskedClose, windowId: string | undefined, nowMs: number): Verdict {
    const verdict = judgeClose(report)
    const code = report.status ?? report.http
    this.#pending = { verdict, windowId }
    this.#reason = verdict.reason
    this.#disconnect = { ...(code === undefined ? {} : { code }), why: verdict.why, at: nowMs }
    return verdict
  }

  /** It is dealt with; `why` where the word of the table was not the right one. */
  judged(why?: string): void {
    this.#pending = undefined
    if (why !== undefined && this.#disconnect) this.#disconnect = { ...this.#disconnect, why }
  }
}
