import { expect, test } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { simulate, type SimulationOptions } from './simulation.ts'

/** The same in every run of the tests, so that a change of the runner meets worlds that it is known to have passed. */
const FIXED = { first: 1, count: 200 } as const
/** New ones each time, bounded by time instead of number: the machine may be slow. */
const FRESH = { count: 100, withinMs: 10_000 } as const
/** Tests share the seeds among them, so that a failure names a small part and a report shows progress. */
const PART = 25
/** A part takes five seconds on a core of its own; it need not have one. */
const PART_WITHIN_MS = 240_000

/** Fails with the seed first and the last events of the session that is concerned. */
async function keepsEveryPromise(options: SimulationOptions): Promise<void> {
  const { violation, trace, drawn } = await simulate(options)
  if (violation === undefined) return
  const about = /\bt~s\d+\b/.exec(violation)?.[0]
  expect.fail(
    [
      `seed ${options.seed}: ${violation}`,
      `npm run simulate -- --seeds 1 --seed ${options.seed}`,
      `drawn: ${JSON.stringify(drawn)}`,
      ...trace.last(60, about),
    ].join('\n'),
  )
}

for (let first = FIXED.first; first < FIXED.first + FIXED.count; first += PART) {
  const last = first + PART - 1
  test(
    `keeps every promise in the worlds of the seeds ${first} to ${last}`,
    { timeout: PART_WITHIN_MS },
    async () => {
      for (let seed = first; seed <= last; seed++) await keepsEveryPromise({ seed })
    },
  )
}

test('keeps every promise in worlds that nobody has seen before', { timeout: PART_WITHIN_MS }, async () => {
  const first = systemClock.nowMs() % 1_000_000_000
  console.log(`fresh seeds from ${first}`)
  const startMs = systemClock.monotonicMs()
  for (let done = 0; done < FRESH.count; done++) {
    if (systemClock.monotonicMs() - startMs > FRESH.withinMs) return
    await keepsEveryPromise({ seed: first + done })
  }
})

test('is the same run again from the same seed', { timeout: PART_WITHIN_MS }, async () => {
  const { turns, counts, virtualMs, trace } = await simulate({ seed: 42 })
  const again = await simulate({ seed: 42 })
  expect({ turns: again.turns, counts: again.counts, virtualMs: again.virtualMs }).toEqual({
    turns,
    counts,
    virtualMs,
  })
  expect(again.trace.last(4_000)).toEqual(trace.last(4_000))
})
