/** What may wait for the disk before callers are told to slow down: seconds of work on a slow disk. */
const WAITING_BYTES_MAX = 64 << 20
/** A group of this size keeps the event loop for 2 to 3 ms (measured: 8 µs an entry of 600 bytes). */
const GROUP_TASKS_MAX = 256
const GROUP_BYTES_MAX = 1 << 20

/** One caller's part of a transaction. */
export interface WriteTask {
  doing: string
  bytes: number
  /** Runs inside the transaction; the answer settles the caller once it is durable. */
  run: () => () => void
  reject: (error: Error) => void
}

/** The writes that wait for the disk, in order; they leave it in groups that share one transaction. */
export class WriteQueue {
  #tasks: WriteTask[] = []
  #bytes = 0

  get length(): number {
    return this.#tasks.length
  }

  /** False when too much is waiting already. A single task is taken whatever its size. */
  push(task: WriteTask): boolean {
    if (this.#bytes > 0 && this.#bytes + task.bytes > WAITING_BYTES_MAX) return false
    this.#tasks.push(task)
    this.#bytes += task.bytes
    return true
  }

  nextGroup(): WriteTask[] {
    let count = 0
    let bytes = 0
    for (const task of this.#tasks) {
      if (count === GROUP_TASKS_MAX || (count > 0 && bytes + task.bytes > GROUP_BYTES_MAX)) break
      count += 1
      bytes += task.bytes
    }
    this.#bytes -= bytes
    return this.#tasks.splice(0, count)
  }
}
