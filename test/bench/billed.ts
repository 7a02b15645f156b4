import { systemClock } from '#shared/clock.ts'
import type { Billed } from '#shared/google/meter.ts'
import { KEY, type Program } from './processes.ts'

/** What a process was billed since its start, by kind and call: its counter `mooring_store_operations_total`. */
export type Bill = ReadonlyMap<string, number>

const LINE = /^mooring_store_operations_total\{store="\w+",kind="(\w+)",call="([^"]*)"\} (\d+)$/gm
/** Two readings this far apart that are the same: what was begun is done. */
const QUIET_MS = 1_500

/** Reads the counter where the process serves it. A runner asks for no key, and control gets one. */
export async function billOf(program: Program): Promise<Bill> {
  const { line } = await program.line((one) => one.message === 'listening')
  const answer = await fetch(`http://127.0.0.1:${Number(line['port'])}/metrics`, {
    headers: { 'x-api-key': KEY },
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`/metrics answered ${answer.status}: ${text}`)
  return new Map([...text.matchAll(LINE)].map(([, kind, call, count]) => [`${kind}: ${call}`, Number(count)]))
}

/** Waits until nothing but what a process does all the time is billed any more; answers the bill then. */
export async function quietBill(program: Program, everyTime: readonly string[]): Promise<Bill> {
  const steady = (bill: Bill): string =>
    JSON.stringify([...bill].filter(([name]) => !everyTime.some((call) => name.endsWith(call))))
  for (let before = await billOf(program); ;) {
    await systemClock.sleep(QUIET_MS)
    const now = await billOf(program)
    if (steady(now) === steady(before)) return now
    before = now
  }
}

export function difference(later: Bill, earlier: Bill): Bill {
  return new Map([...later].map(([name, count]) => [name, count - (earlier.get(name) ?? 0)]))
}

/** The sum of one kind, but for some calls. */
export function sum(bill: Bill, kind: Billed, without: readonly string[] = []): number {
  return [...bill]
    .filter(([name]) => name.startsWith(`${kind}: `) && !without.some((call) => name.endsWith(call)))
    .reduce((total, [, count]) => total + count, 0)
}

/** The calls behind a bill, the dearest first: `append a journal entry 1.20, …`. */
export function callsOf(bill: Bill, kind: Billed, per: number, without: readonly string[] = []): string {
  return [...bill]
    .filter(
      ([name, count]) =>
        name.startsWith(`${kind}: `) && count > 0 && !without.some((call) => name.endsWith(call)),
    )
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name.slice(kind.length + 2)} ${(count / per).toFixed(2)}`)
    .join(', ')
}
