/** What a stand-in does to a request instead of answering it in order. */
export type Fault =
  | { do: 'status'; status: number }
  /** The connection ends before anything is done. */
  | { do: 'reset' }
  /** Everything is done, then the connection ends before the answer. */
  | { do: 'lose_answer' }
  /** The connection ends after half of the body of the answer. */
  | { do: 'cut_body' }
  /** The answer comes after `ms`. */
  | { do: 'slow'; ms: number }
  /** The last byte of the body of the answer is another one. */
  | { do: 'damage' }

export interface Rule {
  /** Part of `METHOD path?query`. Absent: every request. */
  on?: string
  fault: Fault
  /** How often; absent: once. */
  times?: number
}

/** Rules are used up from the first on; a request that none fits is answered in order. */
export function createFaultScript(): {
  add(rule: Rule): void
  clear(): void
  take(request: string): Fault | undefined
} {
  let rules: { on: string; fault: Fault; left: number }[] = []
  return {
    add: ({ on = '', fault, times = 1 }) => void rules.push({ on, fault, left: times }),
    clear: () => {
      rules = []
    },
    take(request) {
      const rule = rules.find(({ on, left }) => left > 0 && request.includes(on))
      if (!rule) return undefined
      rule.left--
      return rule.fault
    },
  }
}
