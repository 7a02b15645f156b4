import type { Log } from '#shared/log.ts'
import type { VirtualTime } from './virtual-time.ts'

/** The last events of a run are kept, for whoever reads a failure. */
const KEPT = 4_000

interface Line {
  atMs: number
  who: string
  what: string
  facts: Readonly<Record<string, unknown>>
}

/** What happened, newest last, in a bounded space. Texts are made only when somebody reads them. */
export class Trace {
  readonly #time: VirtualTime
  readonly #lines: Line[] = []
  #next = 0

  constructor(time: VirtualTime) {
    this.#time = time
  }

  note(who: string, what: string, facts: Readonly<Record<string, unknown>> = {}): void {
    this.#lines[this.#next++ % KEPT] = { atMs: this.#time.nowMs, who, what, facts }
  }

  /** The last `count` lines; of one session only what concerns it, or everybody. */
  last(count: number, about?: string): readonly string[] {
    const at = this.#next % KEPT
    const inOrder = [...this.#lines.slice(at), ...this.#lines.slice(0, at)]
    return inOrder
      .map(({ atMs, who, what, facts }) => {
        const words = Object.entries(facts).map(([name, value]) => `${name}=${textOf(value)}`)
        return `${(atMs / 1000).toFixed(3).padStart(9)}s ${who.padEnd(12)} ${what} ${words.join(' ')}`.trimEnd()
      })
      .filter(
        (line) => about === undefined || line.includes(about) || !/ t~s\d/.test(line.replaceAll('=', ' ')),
      )
      .slice(-count)
  }

  /** A log that writes into this trace; debug lines are left out. */
  log(who: string): Log {
    const say =
      (level: string) =>
      (facts: unknown, message?: string): void =>
        this.note(who, `${level}${message ?? String(facts)}`, typeof facts === 'object' ? { ...facts } : {})
    const nothing = (): void => undefined
    const log = {
      level: 'info',
      trace: nothing,
      debug: nothing,
      info: say(''),
      warn: say('! '),
      error: say('!! '),
      fatal: say('!!! '),
      child: () => log,
    }
    return log as unknown as Log
  }
}

function textOf(value: unknown): string {
  if (value instanceof Error) {
    const { code, cause } = value as { code?: string; cause?: unknown }
    return `[${code ?? value.name}: ${value.message}${cause instanceof Error ? `; ${cause.message}` : ''}]`
  }
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined')
}
