/**
 * A queue per tenant, served in turn: however much one of them has waiting, a tenant that comes anew is behind at most one
 * item of each other. Inside a tenant it is first in, first out.
 */
export class FairQueue<T> {
  /** Whoever is first has the next turn. A tenant with nothing to wait for is not in here. */
  readonly #lines = new Map<string, Set<T>>()
  #size = 0

  /** False when it waits already; then it keeps its place. */
  push(tenant: string, item: T): boolean {
    let line = this.#lines.get(tenant)
    if (line?.has(item)) return false
    if (!line) this.#lines.set(tenant, (line = new Set()))
    line.add(item)
    this.#size += 1
    return true
  }

  /** Takes one out, and its tenant goes behind the others: it had its turn. False when it did not wait. */
  take(tenant: string, item: T): boolean {
    const line = this.#lines.get(tenant)
    if (!this.drop(tenant, item)) return false
    if (line && line.size > 0) {
      this.#lines.delete(tenant)
      this.#lines.set(tenant, line)
    }
    return true
  }

  /** Takes out the one whose turn it is. */
  next(): T | undefined {
    for (const [tenant, line] of this.#lines) {
      for (const item of line) {
        this.take(tenant, item)
        return item
      }
    }
    return undefined
  }

  /** One gave up, which costs its tenant no turn. False when it did not wait. */
  drop(tenant: string, item: T): boolean {
    const line = this.#lines.get(tenant)
    if (!line?.delete(item)) return false
    if (line.size === 0) this.#lines.delete(tenant)
    this.#size -= 1
    return true
  }

  clear(): void {
    this.#lines.clear()
    this.#size = 0
  }

  /** All that wait, in the order in which `next` would give them. */
  *inTurn(): Generator<T> {
    let lines = [...this.#lines.values()].map((line) => line.values())
    while (lines.length > 0) {
      const left: typeof lines = []
      for (const line of lines) {
        const { value, done } = line.next()
        if (done) continue
        yield value
        left.push(line)
      }
      lines = left
    }
  }

  get size(): number {
    return this.#size
  }
}

/** Lets a bounded number of things go on at once, tenants in turn. */
export interface Turns {
  /**
   * Resolves when it may begin, with what to call once at its end; a second call is harmless. Whoever gave up (`signal`) waits
   * no more. @throws the signal's reason
   */
  take(tenant: string, signal?: AbortSignal): Promise<() => void>
  readonly waiting: number
}

export function createTurns(atOnceMax: number): Turns {
  const queue = new FairQueue<() => void>()
  let running = 0

  function begin(): () => void {
    running += 1
    let ended = false
    return () => {
      if (ended) return
      ended = true
      running -= 1
      if (running < atOnceMax) queue.next()?.()
    }
  }

  return {
    async take(tenant, signal) {
      signal?.throwIfAborted()
      if (running < atOnceMax) return begin()
      const { promise, resolve, reject } = Promise.withResolvers<() => void>()
      const start = (): void => resolve(begin())
      const giveUp = (): void => {
        if (queue.drop(tenant, start)) reject(signal?.reason as Error)
      }
      queue.push(tenant, start)
      signal?.addEventListener('abort', giveUp, { once: true })
      try {
        return await promise
      } finally {
        signal?.removeEventListener('abort', giveUp)
      }
    },
    get waiting() {
      return queue.size
    },
  }
}
