import type { SessionKey } from '#shared/ids.ts'

/**
 * How long a login may be under way after its connection was given up: the kernel goes on sending what a closed socket left in
 * its buffer. An assumption, not measured; Linux gives up on such a socket after some 100 s at most, and a server that has
 * not heard from a client for a minute ends the handshake.
 */
const LATE_MS = 60_000

/**
 * Logins of ours whose connections were given up before an answer came. WhatsApp lets the newest login win: when one of them
 * arrives behind that of the next connection, it replaces it, and the 440 is our own doing. Each explains one 440 at most, so
 * that somebody else's connection is told of after no more than one more try.
 */
export class LateLogins {
  readonly #untilMs = new Map<SessionKey, readonly number[]>()

  /** A connection of that session was given up while its login may have been sent. Monotonic. */
  note(key: SessionKey, nowMs: number): void {
    for (const other of this.#untilMs.keys()) this.#keep(other, this.#open(other, nowMs))
    this.#keep(key, [...this.#open(key, nowMs), nowMs + LATE_MS])
  }

  /** A predecessor may have given one up; where it was this process, it is known. */
  inherit(key: SessionKey, nowMs: number): void {
    if (!this.isOpen(key, nowMs)) this.note(key, nowMs)
  }

  isOpen(key: SessionKey, nowMs: number): boolean {
    return this.#open(key, nowMs).length > 0
  }

  /** Whether a 440 of that session may be our own doing. What explained one explains no other. */
  explain(key: SessionKey, nowMs: number): boolean {
    const [oldest, ...others] = this.#open(key, nowMs)
    this.#keep(key, others)
    return oldest !== undefined
  }

  #open(key: SessionKey, nowMs: number): readonly number[] {
    return (this.#untilMs.get(key) ?? []).filter((untilMs) => untilMs > nowMs)
  }

  #keep(key: SessionKey, untilMs: readonly number[]): void {
    if (untilMs.length > 0) this.#untilMs.set(key, untilMs)
    else this.#untilMs.delete(key)
  }
}
