import { isPaired } from '../state/paired.ts'

/** Who WhatsApp says that we are. */
interface Me {
  readonly jid: string
  readonly lid?: string | undefined
}

/** Which device a session is, for whoever only reads. */
export interface IdentityView {
  /** It has the credentials of a linked device. */
  readonly paired: boolean
  readonly me: Me | undefined
  /** Wall clock: when it was linked, as far as that is known. */
  readonly authenticatedAt: number | undefined
}

/** The device that a session is. `paired` follows the credentials; the rest is what was learned of it. */
export class Identity implements IdentityView {
  #paired = false
  #me: Me | undefined
  #authenticatedAt: number | undefined

  get paired(): boolean {
    return this.#paired
  }

  get me(): Me | undefined {
    return this.#me
  }

  get authenticatedAt(): number | undefined {
    return this.#authenticatedAt
  }

  /** These are its credentials now. */
  judge(creds: unknown): void {
    this.#paired = isPaired(creds)
  }

  /** It was linked at this time, before this runner had it. */
  wasLinked(at: number | undefined): void {
    if (this.#paired && at !== undefined) this.#authenticatedAt = at
  }

  /** A person linked it just now, or its credentials came from elsewhere. */
  linked(at: number): void {
    this.#paired = true
    this.#authenticatedAt = at
  }

  /** It logged in. */
  opened(me: Me, at: number): void {
    this.#me = me
    this.#authenticatedAt ??= at
  }

  /** Its credentials are out of use; whose they were is still told. */
  archived(): void {
    this.#paired = false
  }

  /** Whoever comes next is somebody else. */
  forget(): void {
    this.#me = undefined
    this.#authenticatedAt = undefined
  }
}
