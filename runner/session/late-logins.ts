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
  readonly #untilMs = new Map<SessionKey, number[]>()

  /** A connection of that session was given up while its login may have been sent. Monotonic. */
  note(key: SessionKey, nowMs: number): void {
    this.#untilMs.set(key, [...this.#open(key, nowMs), nowMs + LATE_MS])
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
    return this.#open(key, nowMs).shift() !== undefined
  }

  /** Its life is over. */
  forget(key: SessionKey): void {
    this.#untilMs.delete(key)
  }

  /** Those of a session, the oldest first; what is over is forgotten. */
  #open(key: SessionKey, nowMs: number): number[] {
    const open = (this.#untilMs.get(key) ?? []).filter((untilMs) => untilMs > nowMs)
    if (open.length > 0) this.#untilMs.set(key, open)
    else this.#untilMs.delete(key)
    return open
  }
}
