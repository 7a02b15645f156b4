/**
 * A single 405 tells of the whole fleet. One session tries after a minute: by then the current version is known, where it can
 * be (`version.ts`); then after twice as long each time, since whoever is refused again and again looks like somebody who
 * guesses.
 */
const PROBE = { firstMs: 60_000, longestMs: 15 * 60_000, lastsMs: 120_000 } as const
/** So many sessions in trouble within the window are no coincidence. */
const TROUBLE = { closes: 5, windowMs: 10_000, slowMs: 30_000 } as const

/** No connects: since when the version is refused, and who tries next. */
interface Stopped {
  refusedAtMs: number
  /** Refusals of those who tried alone. */
  refusals: number
  /** Until then nobody tries. */
  probeAtMs: number
  /** It tries alone; when it has said nothing by its time, another one may. */
  probe: { session: string; untilMs: number } | undefined
}

/**
 * What the closes of many sessions say together: 405 stops every connect of this process but one that tries, server trouble
 * slows them down, instead of each session finding out alone. Times are monotonic milliseconds.
 */
export class FleetBreaker {
  #stopped: Stopped | undefined
  #troubles: { session: string; atMs: number }[] = []
  readonly #freed: () => void

  /** `freed` is called when somebody may connect earlier than was said. */
  constructor(freed: () => void = () => undefined) {
    this.#freed = freed
  }

  get isStopped(): boolean {
    return this.#stopped !== undefined
  }

  /** Until when this session does not connect, or nobody who never tries alone; 0 when the way is free for it. */
  waitsUntilMs(nowMs: number, session?: string): number {
    const stopped = this.#stopped
    if (!stopped) return 0
    const { probe, probeAtMs } = stopped
    if (probe && nowMs < probe.untilMs) return probe.session === session ? 0 : probe.untilMs
    if (nowMs < probeAtMs) return probeAtMs
    return session === undefined ? nowMs + PROBE.lastsMs : 0
  }

  /** A session is about to connect: answers 0 when it may, or when to ask again. While the way is stopped it tries alone. */
  admit(session: string, nowMs: number): number {
    const untilMs = this.waitsUntilMs(nowMs, session)
    if (untilMs === 0 && this.#stopped) this.#probe(this.#stopped, session, nowMs)
    return untilMs
  }

  /** It tries alone, for all others. */
  isProbe(session: string): boolean {
    return this.#stopped?.probe?.session === session
  }

  /** Notes a close that concerns the fleet. Answers until when everybody slows down, or 0. */
  note(kind: 'outdated' | 'trouble', session: string, nowMs: number): number {
    if (kind === 'outdated') {
      this.#refused(session, nowMs)
      return 0
    }
    this.#troubles = this.#troubles.filter((one) => nowMs - one.atMs < TROUBLE.windowMs)
    this.#troubles.push({ session, atMs: nowMs })
    return new Set(this.#troubles.map((one) => one.session)).size >= TROUBLE.closes
      ? nowMs + TROUBLE.slowMs
      : 0
  }

  /** A connection of that session is over, without a word about the version: if it tried alone, another one may. */
  ended(session: string): void {
    if (!this.#stopped || !this.isProbe(session)) return
    this.#stopped.probe = undefined
    this.#freed()
  }

  /** WhatsApp took a connection at that time. One after the refusal shows that the version is accepted again. */
  accepted(atMs: number): void {
    if (this.#stopped && atMs > this.#stopped.refusedAtMs) this.reset()
  }

  /** A person asked for another try of that session: it tries at once, alone. */
  asked(session: string, nowMs: number): void {
    if (this.#stopped && !this.isProbe(session)) this.#probe(this.#stopped, session, nowMs)
  }

  /** What stopped it is gone. */
  reset(): void {
    if (!this.#stopped) return
    this.#stopped = undefined
    this.#freed()
  }

  #probe(stopped: Stopped, session: string, nowMs: number): void {
    stopped.probe = { session, untilMs: nowMs + PROBE.lastsMs }
  }

  /** Those that were on their way together were refused together: it counts once. */
  #refused(session: string, nowMs: number): void {
    const before = this.#stopped
    if (before && !this.isProbe(session)) {
      before.refusedAtMs = nowMs
      return
    }
    const refusals = (before?.refusals ?? 0) + 1
    const waitMs = Math.min(PROBE.longestMs, PROBE.firstMs * 2 ** Math.min(refusals - 1, 10))
    this.#stopped = { refusedAtMs: nowMs, refusals, probeAtMs: nowMs + waitMs, probe: undefined }
  }
}
