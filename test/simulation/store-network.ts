import { CodedError } from '#shared/errors.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Watch } from '#shared/store/watch.ts'
import type { Dice } from './dice.ts'
import type { Faults } from './faults.ts'
import type { SimulatedProcess } from './process.ts'
import type { VirtualTime } from './virtual-time.ts'

/** The deadlines of the adapters: shared/google/calls.ts, and for a renewal firestore-runner-store.ts. */
const DEADLINE_MS = 10_000
const RENEW_DEADLINE_MS = 3_000
/** How much longer than usual a slow request or answer takes. */
const SLOW_MS = 9_000
/** How much later than its deadline a late request is done all the same. */
const LATE_MS = 12_000

/** Sees every call in the turn in which the store does it. */
export interface Auditor {
  /** Before the store does it; what is answered is called when it was done. */
  served(
    process: SimulatedProcess,
    what: string,
    args: readonly unknown[],
    sentMs: number,
  ): (() => void) | undefined
  /** A call that the process sent at `sentMs` succeeded, and the process knows. */
  answered(process: SimulatedProcess, what: string, sentMs: number): void
}

interface Deps {
  time: VirtualTime
  dice: Dice
  faults: () => Faults
  stores: Stores
  auditor: Auditor
}

/**
 * Between each process and the stores: every call takes time both ways, and may be lost either way, fail, be slow, or be done
 * after the caller gave up. A process that is partitioned reaches nothing. Point reads and lists answer what the
 * store holds in the turn in which it is asked; they are stale only as far as their answers are slow.
 */
export class StoreNetwork {
  readonly #deps: Deps
  readonly #partitioned = new Set<SimulatedProcess>()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  partition(process: SimulatedProcess): void {
    this.#partitioned.add(process)
  }

  heal(process: SimulatedProcess): void {
    this.#partitioned.delete(process)
  }

  /** The stores as one process reaches them. */
  connect(process: SimulatedProcess): Stores {
    const ports = Object.entries(this.#deps.stores).map(([port, store]: [string, unknown]) => {
      if (typeof store !== 'object' || store === null) return [port, async () => undefined]
      const methods = Object.entries(store).map(([name, method]: [string, unknown]) => [
        name,
        this.#method(process, `${port}.${name}`, method as (...args: unknown[]) => unknown),
      ])
      return [port, Object.fromEntries(methods) as unknown]
    })
    return Object.fromEntries(ports) as Stores
  }

  #method(process: SimulatedProcess, what: string, method: (...args: never[]) => unknown) {
    const run = method as (...args: unknown[]) => unknown
    if (what.endsWith('.watch'))
      return (changed: (...told: unknown[]) => void) => this.#watch(process, run, changed)
    if (what === 'blobs.read')
      return (...args: unknown[]) =>
        later(() =>
          this.#call(process, what, args, () => Array.fromAsync(run(...args) as AsyncIterable<unknown>)),
        )
    if (what.endsWith('.scan')) return () => this.#scan(process, what, run as () => AsyncIterable<unknown>)
    return (...args: unknown[]) => this.#call(process, what, args, () => run(...args))
  }

  /** A scan is no moment: its pages are read one after the other. */
  async *#scan(process: SimulatedProcess, what: string, run: () => AsyncIterable<unknown>) {
    const page = (from: 0 | 1) =>
      this.#call(process, what, [], async () => {
        const all = await Array.fromAsync(run())
        const half = Math.ceil(all.length / 2)
        return from === 0 ? all.slice(0, half) : all.slice(half)
      }) as Promise<unknown[]>
    yield* await page(0)
    yield* await page(1)
  }

  #call(
    process: SimulatedProcess,
    what: string,
    args: readonly unknown[],
    run: () => unknown,
  ): Promise<unknown> {
    const { time, auditor } = this.#deps
    return new Promise((resolve, reject) => {
      if (!process.alive) return
      const luck = this.#luck()
      if (luck.crash === 'before') return process.crash()
      const sentMs = time.nowMs
      const deadlineMs = what === 'runners.renew' ? RENEW_DEADLINE_MS : DEADLINE_MS
      const unavailable = (why: string): CodedError => new CodedError('store_unavailable', `${what}: ${why}`)
      const cancel = process.clock.after(deadlineMs, () => reject(unavailable('no answer in time')))
      const answer = (settle: () => void): void => {
        if (luck.crash === 'after') return process.crash()
        if (luck.lost === 'answer') return
        time.after(luck.answerMs, () => {
          if (this.#partitioned.has(process)) return
          process.deliver(() => {
            cancel()
            settle()
          })
        })
      }
      time.after(luck.late ? deadlineMs + luck.requestMs : luck.requestMs, () => {
        if (this.#partitioned.has(process) || luck.lost === 'request') return
        if (luck.fails === 'before') return answer(() => reject(unavailable('it failed')))
        const done = auditor.served(process, what, args, sentMs)
        Promise.resolve(run()).then(
          (value) => {
            done?.()
            if (luck.fails === 'after') return answer(() => reject(unavailable('its answer was lost')))
            answer(() => {
              auditor.answered(process, what, sentMs)
              resolve(value)
            })
          },
          (error: unknown) => answer(() => reject(error)),
        )
      })
    })
  }

  #luck() {
    const { dice } = this.#deps
    const faults = this.#deps.faults()
    const roll = dice.random.next()
    // One kind of fault a call: bands of one throw.
    const bands = [faults.failBefore / 2, faults.failBefore / 2, faults.loseAnswer / 2, faults.loseAnswer / 2]
    let top = 0
    const band = bands.findIndex((width) => roll < (top += width))
    const slow = dice.chance(faults.slow)
    const extraMs = slow ? dice.between(0, SLOW_MS) : 0
    const slowWayOut = slow && dice.chance(0.5)
    const late = dice.chance(faults.late)
    const crash = dice.chance(faults.crashAtCall) && (dice.chance(0.5) ? 'before' : 'after')
    return {
      fails: band === 0 ? 'before' : band === 2 ? 'after' : undefined,
      lost: band === 1 ? 'request' : band === 3 ? 'answer' : undefined,
      late,
      crash,
      requestMs: dice.between(1, 12) + (slowWayOut ? extraMs : 0) + (late ? dice.between(0, LATE_MS) : 0),
      answerMs: dice.between(1, 12) + (slowWayOut ? 0 : extraMs),
    } as const
  }

  /** Hints may be lost, late or doubled. */
  #watch(
    process: SimulatedProcess,
    run: (...args: unknown[]) => unknown,
    changed: (...told: unknown[]) => void,
  ): Watch {
    const { time, dice } = this.#deps
    const watch = run((...told: unknown[]) => {
      const faults = this.#deps.faults()
      if (dice.chance(faults.loseHint)) return
      const copies = dice.chance(0.05) ? 2 : 1
      for (let copy = 0; copy < copies; copy++) {
        const delayMs = dice.chance(faults.lateHint) ? dice.between(0, SLOW_MS) : dice.between(1, 30)
        time.after(delayMs, () => {
          if (!this.#partitioned.has(process)) process.deliver(() => changed(...told))
        })
      }
    }) as Watch
    process.atEnd(() => void watch.close())
    return watch
  }
}

/** An iterable over what a call will answer; nothing is asked before somebody iterates. */
async function* later(call: () => Promise<unknown>): AsyncGenerator {
  yield* (await call()) as unknown[]
}
