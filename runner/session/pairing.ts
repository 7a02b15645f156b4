import type { Status } from '#shared/session.ts'

type Shown = NonNullable<Status['pairing']>

/** What a person sees of a pairing, for whoever only reads. */
export interface PairingView {
  /** The QR or code that is up, as long as the connection behind it holds. */
  readonly shown: Shown | undefined
  /** The window that is over, so that it is not opened twice. */
  readonly endedWindowId: string | undefined
  /** Why a person has to do something again. */
  readonly note: string | undefined
  /** Why nothing could be shown so far: what keeps the connections of this window from WhatsApp. */
  readonly hindrance: string | undefined
}

/** The pairing of a session: what is shown, and which window is over. */
export class Pairing implements PairingView {
  #shown: Shown | undefined
  #endedWindowId: string | undefined
  #note: string | undefined
  #hindrance: string | undefined

  get shown(): Shown | undefined {
    return this.#shown
  }

  get endedWindowId(): string | undefined {
    return this.#endedWindowId
  }

  get note(): string | undefined {
    return this.#note
  }

  get hindrance(): string | undefined {
    return this.#hindrance
  }

  show(shown: Shown): void {
    if (shown.windowId === this.#endedWindowId) throw new Error('a pairing window that is over shows nothing')
    this.#shown = shown
    this.#hindrance = undefined
  }

  /** A connection that was to link a device came to nothing, and the next follows. */
  hindered(why: string): void {
    this.#hindrance = why
  }

  /** What was shown does not hold any more. */
  hide(): void {
    this.#shown = undefined
  }

  /** The secret in what was shown was exchanged. */
  secretChanged(): void {
    this.#note = 'WhatsApp asked for a new code; scan the one that is shown now'
  }

  /** The window has done its work, or was given up, which the note tells. */
  ended(windowId: string | undefined, note?: string): void {
    this.#shown = undefined
    if (windowId !== undefined) this.#endedWindowId = windowId
    if (note !== undefined) {
      this.#note = note
      this.#hindrance = undefined
    }
  }

  /** The session is connected: there is nothing left to do. */
  done(): void {
    this.#shown = undefined
    this.#note = undefined
    this.#hindrance = undefined
  }
}
