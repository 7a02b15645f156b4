import type { BinaryNode } from '@whiskeysockets/baileys'
import type { Clock } from '#shared/clock.ts'

/** What rc14 hands to the Signal repository; any other kind it refuses or passes over by itself. */
const ENCRYPTED: ReadonlySet<string | undefined> = new Set(['msg', 'pkmsg', 'skmsg'])

/**
 * The message stanzas that came and have come to nothing yet: the measure of a line that is open and deaf. rc14 takes them one
 * by one in the order of arrival, so what happened to one has happened to all before it.
 *
 * A stanza has come to something when its decryption ended, well or badly, or when rc14 gave it up before. That is where the
 * application gets it from (the inbox). `messages.upsert` would be no measure: it also tells of what we send, and it legitimately
 * stays away for what was delivered twice, what was revoked while events were held back, and a status too old to be asked for
 * again. Stanzas without a ciphertext of ours (announcements, newsletters, what is only on the phone, messages to bots) never
 * reach decryption and are not counted.
 */
export class Arrivals {
  readonly #clock: Clock
  /** The number of each stanza that waits, in the order of arrival, and when it came. */
  readonly #waiting = new Map<number, number>()
  readonly #stanzas = new WeakMap<Uint8Array, { number: number; peer: boolean }>()
  #numbers = 0
  #movedMs = 0
  #peerMs: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Before Baileys handles it. */
  came(stanza: BinaryNode): void {
    const ciphertexts = ciphertextsOf(stanza)
    if (ciphertexts.length === 0) return
    const number = ++this.#numbers
    const peer = stanza.attrs['category'] === 'peer'
    for (const ciphertext of ciphertexts) this.#stanzas.set(ciphertext, { number, peer })
    this.#waiting.set(number, this.#clock.monotonicMs())
  }

  /** The decryption of these very bytes has ended, in whatever way. */
  tried(ciphertext: Uint8Array): void {
    const stanza = this.#stanzas.get(ciphertext)
    if (!stanza) return
    this.#movedMs = this.#clock.monotonicMs()
    this.#peerMs = stanza.peer ? this.#movedMs : undefined
    for (const number of this.#waiting.keys()) {
      if (number > stanza.number) break
      this.#waiting.delete(number)
    }
  }

  /**
   * rc14 gave up the stanza in work, which is the oldest or one that is not counted. In the second case one stanza counts as
   * done too early, and only when the line has just moved.
   */
  givenUp(): void {
    const [oldest] = this.#waiting.keys()
    if (oldest === undefined) return
    this.#movedMs = this.#clock.monotonicMs()
    this.#waiting.delete(oldest)
  }

  /** Since when there is something to do and nothing is done; `undefined` while nothing waits. Monotonic. */
  get idleSinceMs(): number | undefined {
    const [oldestMs] = this.#waiting.values()
    return oldestMs === undefined ? undefined : Math.max(oldestMs, this.#movedMs)
  }

  /**
   * When the newest message was decrypted, if it was one of the protocol's own (a history, keys): before it takes the next,
   * rc14 works on it, downloads included. Monotonic.
   */
  get peerSinceMs(): number | undefined {
    return this.#peerMs
  }
}

/** The ciphertexts of a message that rc14 will try to decrypt. It passes over messages to bots, by their first one. */
function ciphertextsOf({ tag, content }: BinaryNode): Uint8Array[] {
  if (tag !== 'message' || !Array.isArray(content)) return []
  const encrypted = content.filter((child) => child.tag === 'enc')
  if (encrypted[0]?.attrs['type'] === 'msmsg') return []
  return encrypted.flatMap((child) =>
    ENCRYPTED.has(child.attrs['type']) && child.content instanceof Uint8Array ? [child.content] : [],
  )
}
