/**
 * The reads of one view, numbered in the order in which they began. Answers come in any order; the number of a read says
 * which of two answers knows the later state.
 */
export class Reads {
  #last = 0
  readonly #underWay = new Set<number>()

  /** Runs one read, which is told its number. */
  async begin<T>(read: (number: number) => Promise<T>): Promise<T> {
    const number = this.next()
    this.#underWay.add(number)
    try {
      return await read(number)
    } finally {
      this.#underWay.delete(number)
    }
  }

  /** A number for what is known now without a read: every read that is under way began before it. */
  next(): number {
    return ++this.#last
  }

  /** No answer that is still to come has a lower number. */
  get oldest(): number {
    // A set keeps the order in which it was filled.
    for (const number of this.#underWay) return number
    return Infinity
  }
}

/** The newest answer about each key. That a key is absent is an answer like any other. */
export class Newest<K, V> {
  readonly #reads: Reads
  readonly #values = new Map<K, V>()
  /** By which read each key was told last, for as long as an answer of an earlier one may come. */
  readonly #toldBy = new Map<K, number>()

  constructor(reads: Reads) {
    this.#reads = reads
  }

  get values(): ReadonlyMap<K, V> {
    return this.#values
  }

  /** Takes an answer, unless one of a later read was taken before. Answers whether it did. */
  take(key: K, value: V | undefined, number: number): boolean {
    if (number < (this.#toldBy.get(key) ?? 0)) return false
    this.#toldBy.delete(key)
    this.#toldBy.set(key, number)
    this.#forgetNumbers()
    this.#put(key, value)
    return true
  }

  /** Changes what is known of a key without saying that it is newer: answers of reads under way still count. */
  amend(key: K, change: (value: V) => V | undefined): void {
    const known = this.#values.get(key)
    if (known !== undefined) this.#put(key, change(known))
  }

  #put(key: K, value: V | undefined): void {
    if (value === undefined) this.#values.delete(key)
    else this.#values.set(key, value)
  }

  /** Else a key that is gone would be remembered for ever. */
  #forgetNumbers(): void {
    const { oldest } = this.#reads
    for (const [key, number] of this.#toldBy) {
      if (number > oldest) return
      this.#toldBy.delete(key)
    }
  }
}
