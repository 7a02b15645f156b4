/** A single 405 tells of the whole fleet; it is probed by one connect after this time (the version may have been raised). */
const OUTDATED_MS = 15 * 60_000
/** So many sessions in trouble within the window are no coincidence. */
const TROUBLE = { closes: 5, windowMs: 10_000, slowMs: 30_000 } as const

/**
 * What the closes of many sessions say together: 405 stops every connect of this process, server trouble slows them down,
 * instead of each session finding out alone. Times are monotonic milliseconds.
 */
export class FleetBreaker {
  #outdatedUntilMs = 0
  #outdatedAtMs = 0
  #troubles: { session: string; atMs: number }[] = []
  readonly #freed: () => void

  /** `freed` is called when connects may go on before the time that was set. */
  constructor(freed: () => void = () => undefined) {
    this.#freed = freed
  }

  /** Until then nobody connects; 0 when the way is free. */
  get stoppedUntilMs(): number {
    return this.#outdatedUntilMs
  }

  /** Notes a close that concerns the fleet. Answers until when everybody slows down, or 0. */
  note(kind: 'outdated' | 'trouble', session: string, nowMs: number): number {
    if (kind === 'outdated') {
      this.#outdatedAtMs = nowMs
      this.#outdatedUntilMs = nowMs + OUTDATED_MS
      return 0
    }
    this.#troubles = this.#troubles.filter((one) => nowMs - one.atMs < TROUBLE.windowMs)
    this.#troubles.push({ session, atMs: nowMs })
    return new Set(this.#troubles.map((one) => one.session)).size >= TROUBLE.closes
      ? nowMs + TROUBLE.slowMs
      : 0
  }

  /** A connection is open since then. One that opened after the refusal shows that the version is accepted again. */
  opened(sinceMs: number): void {
    if (sinceMs > this.#outdatedAtMs) this.reset()
  }

  /** A person asked for another try. */
  reset(): void {
    if (this.#outdatedUntilMs === 0) return
    this.#outdatedUntilMs = 0
    this.#freed()
  }
}
