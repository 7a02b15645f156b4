/** How many of something go on at once, by name, in the memory of this process. */
export interface InFlight {
  /** Counts one, and answers what to call once at its end (again is harmless); `undefined` when so many go on already. */
  enter(name: string, max: number): (() => void) | undefined
  count(name: string): number
  readonly total: number
}

export function createInFlight(): InFlight {
  const counts = new Map<string, number>()
  let total = 0
  const move = (name: string, by: 1 | -1): void => {
    const count = (counts.get(name) ?? 0) + by
    if (count === 0) counts.delete(name)
    else counts.set(name, count)
    total += by
  }
  return {
    enter(name, max) {
      if ((counts.get(name) ?? 0) >= max) return undefined
      move(name, 1)
      let ended = false
      return () => {
        if (!ended) move(name, -1)
        ended = true
      }
    },
    count: (name) => counts.get(name) ?? 0,
    get total() {
      return total
    },
  }
}
