interface Timer {
  atMs: number
  order: number
  task: (() => void) | undefined
}

/** Lets everything that is ready run: a turn of the real event loop ends only when no microtask is left. */
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

/**
 * The one clock of a simulation. Time stands still while anything runs, and jumps to the next timer when all is quiet, so
 * a run depends on its seed and on nothing else. Timers of the same moment run in the order in which they were set.
 */
export class VirtualTime {
  nowMs = 0
  /** Counts every timer that ran: a place in the run, for the trace. */
  turns = 0
  readonly #heap: Timer[] = []
  #order = 0

  /** The answer cancels; cancelling twice, or after it ran, is harmless. */
  after(ms: number, task: () => void): () => void {
    return this.at(this.nowMs + Math.max(0, ms), task)
  }

  /** The same for a moment: what is meant for one and the same moment stays in order, whatever sums and differences would make of it. */
  at(atMs: number, task: () => void): () => void {
    const timer: Timer = { atMs, order: this.#order++, task }
    this.#push(timer)
    return () => {
      timer.task = undefined
    }
  }

  /** Runs all timers up to a moment, each until quiet. Stops early when `isOver` says so after one of them. */
  async runUntil(atMs: number, isOver: () => boolean = () => false): Promise<void> {
    await settled()
    for (let next = this.#heap[0]; next && next.atMs <= atMs; next = this.#heap[0]) {
      this.#pop()
      const { task } = next
      if (!task) continue
      this.nowMs = next.atMs
      this.turns++
      task()
      await settled()
      if (isOver()) return
    }
    // Who else let time pass meanwhile may have come further.
    this.nowMs = Math.max(this.nowMs, atMs)
  }

  #push(timer: Timer): void {
    const heap = this.#heap
    let at = heap.push(timer) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent] as Timer, timer)) break
      heap[at] = heap[parent] as Timer
      at = parent
    }
    heap[at] = timer
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (!last || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Timer, heap[child] as Timer)) child++
      if (isBefore(last, heap[child] as Timer)) break
      heap[at] = heap[child] as Timer
      at = child
    }
    heap[at] = last
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
