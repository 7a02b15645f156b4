import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import { GRAVE_PHASES, type Phase, type Session } from '#shared/session.ts'

/** Phases in which a session has come to rest without being connected. */
const FAILED: ReadonlySet<Phase> = new Set([...GRAVE_PHASES, 'backing_off', 'unpaired'])
const PROGRESS_EVERY_MS = 1_000

/** The sessions that were linked and are wanted running, the most recently active first. Pure. */
export const restorableOf = (sessions: ReadonlyMap<SessionKey, Session>): readonly SessionKey[] =>
  [...sessions]
    .filter(
      ([, { want, status }]) =>
        want.state === 'running' &&
        !want.deleting &&
        (status?.authenticatedAt !== undefined || status?.phase === 'failed') &&
        status.phase !== 'logged_out',
    )
    .toSorted(([, a], [, b]) => (b.status?.lastActivityAt ?? 0) - (a.status?.lastActivityAt ?? 0))
    .map(([key]) => key)

/**
 * How the sessions that were to be restored at the start of this runner fared. It tells its progress once a second while
 * sessions come up, and its result once.
 */
export class BootReport {
  readonly #log: Log
  readonly #startMs: number
  #waiting = new Set<SessionKey>()
  readonly #restored = new Set<SessionKey>()
  readonly #failed = new Map<SessionKey, string>()
  #total = 0
  #toldMs = 0
  #done = false

  constructor(log: Log, startMs: number) {
    this.#log = log
    this.#startMs = startMs
  }

  /** These are to be restored. */
  expect(keys: readonly SessionKey[], nowMs: number): void {
    this.#waiting = new Set(keys)
    this.#total = keys.length
    this.#log.info({ sessions: keys.length }, 'sessions to restore')
    this.#tellIfDone(nowMs)
  }

  note(key: SessionKey, phase: Phase, reason: string | undefined, nowMs: number): void {
    if (this.#done || (!this.#waiting.has(key) && !this.#failed.has(key))) return
    if (phase === 'connected') {
      this.#waiting.delete(key)
      this.#failed.delete(key)
      this.#restored.add(key)
    } else if (FAILED.has(phase)) {
      this.#waiting.delete(key)
      this.#failed.set(key, reason ?? phase)
    } else if (phase === 'stopped') {
      this.elsewhere(key)
    }
    this.#tellIfDone(nowMs)
  }

  /** Another runner has it, or nobody wants it any more: it is not ours to restore. */
  elsewhere(key: SessionKey): void {
    if (this.#waiting.delete(key)) this.#total--
  }

  /** Tells progress, at most once a second, and the result once. */
  tick(nowMs: number): void {
    if (this.#done || nowMs - this.#toldMs < PROGRESS_EVERY_MS) return
    this.#toldMs = nowMs
    if (this.#tellIfDone(nowMs)) return
    const perMs = this.#restored.size / Math.max(1, nowMs - this.#startMs)
    const etaMs = perMs > 0 ? Math.round(this.#waiting.size / perMs) : undefined
    this.#log.info({ ...this.counts, etaMs }, 'restoring sessions')
  }

  get counts(): { restored: number; failed: number; waiting: number; total: number } {
    return {
      restored: this.#restored.size,
      failed: this.#failed.size,
      waiting: this.#waiting.size,
      total: this.#total,
    }
  }

  #tellIfDone(nowMs: number): boolean {
    if (this.#waiting.size > 0 || this.#done) return this.#done
    this.#done = true
    const reasons: Record<string, number> = {}
    for (const reason of this.#failed.values()) reasons[reason] = (reasons[reason] ?? 0) + 1
    const rate = this.#total === 0 ? 1 : this.#restored.size / this.#total
    this.#log.info(
      { ...this.counts, rate, reasons, durationMs: Math.round(nowMs - this.#startMs) },
      'sessions restored',
    )
    return true
  }
}
