import type { Clock } from '#shared/clock.ts'
import type { VirtualTime } from './virtual-time.ts'

/** 2026-01-01, as good a day as any. */
const START_MS = 1_767_225_600_000

type Arrival = 'timer' | 'io'

/**
 * One operating-system process: a clock, and the gate through which everything from outside comes in. When it crashed
 * nothing comes in any more, so all that it waited for never happens; while it is frozen what comes waits at the gate.
 * Its monotonic clock goes on meanwhile (SIGSTOP, a starved container), its wall clock can be turned.
 */
export class SimulatedProcess {
  readonly name: string
  readonly #time: VirtualTime
  alive = true
  frozen = false
  /** When it was last thawed: what it held back it may still be doing in this moment. */
  thawedAtMs = -Infinity
  wallOffsetMs = 0
  readonly clock: Clock
  readonly #held: { arrival: Arrival; task: () => void }[] = []
  readonly #atEnd: (() => void)[] = []

  constructor(time: VirtualTime, name: string) {
    this.#time = time
    this.name = name
    this.clock = {
      nowMs: () => Math.round(START_MS + time.nowMs + this.wallOffsetMs),
      monotonicMs: () => time.nowMs,
      after: (ms, task) => this.#timer(ms, task),
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          const stop = (): void => {
            cancel()
            reject(signal?.reason as Error)
          }
          const cancel = this.#timer(ms, () => {
            signal?.removeEventListener('abort', stop)
            resolve()
          })
          if (signal?.aborted) stop()
          else signal?.addEventListener('abort', stop, { once: true })
        }),
    }
  }

  get runs(): boolean {
    return this.alive && !this.frozen
  }

  /** The end of this turn of the event loop. */
  readonly soon = (task: () => void): void => void this.#timer(0, task)

  /** Something from outside comes in: at once, after a freeze, or never. */
  deliver(task: () => void, arrival: Arrival = 'io'): void {
    if (!this.alive) return
    if (this.frozen) this.#held.push({ arrival, task })
    else task()
  }

  /** All that it does and waits for vanishes. */
  crash(): void {
    if (!this.alive) return
    this.alive = false
    this.#held.length = 0
    for (const end of this.#atEnd.splice(0)) end()
  }

  atEnd(task: () => void): void {
    this.#atEnd.push(task)
  }

  freeze(): void {
    this.frozen = true
  }

  /** What was held back comes in, timers first or network first, each kind in its order; both happen in reality. */
  thaw(first: Arrival): void {
    if (!this.frozen) return
    this.frozen = false
    this.thawedAtMs = this.#time.nowMs
    const held = this.#held.splice(0)
    const inOrder = [
      ...held.filter(({ arrival }) => arrival === first),
      ...held.filter(({ arrival }) => arrival !== first),
    ]
    for (const { task, arrival } of inOrder) this.#time.after(0, () => this.deliver(task, arrival))
  }

  #timer(ms: number, task: () => void): () => void {
    if (!this.alive) return () => undefined
    let cancelled = false
    const cancel = this.#time.after(ms, () =>
      this.deliver(() => {
        if (!cancelled) task()
      }, 'timer'),
    )
    return () => {
      cancelled = true
      cancel()
    }
  }
}

/** The wall clock of the store, and of whoever was never disturbed. */
export const wallMs = (time: VirtualTime): number => Math.round(START_MS + time.nowMs)
