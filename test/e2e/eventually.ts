import { inspect } from 'node:util'
import { systemClock } from '#shared/clock.ts'

/** Long enough for two loaded cores; what comes true is seen within a step. */
const WITHIN_MS = 20_000
/** Each look is a request to a process that has better things to do: what takes long is looked at more rarely. */
const STEP_MS = { first: 10, growth: 1.2, longest: 100 }

/**
 * Looks again and again until `fits` says yes, and answers what it saw then. A look that throws counts as not yet.
 * @throws Error that says what was waited for and what was seen last
 */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  fits: (seen: T) => unknown = Boolean,
  withinMs = WITHIN_MS,
): Promise<NonNullable<T>> {
  const startMs = systemClock.monotonicMs()
  let seen: unknown
  for (let stepMs = STEP_MS.first; ; stepMs = Math.min(stepMs * STEP_MS.growth, STEP_MS.longest)) {
    try {
      const value = await look()
      if (fits(value)) return value as NonNullable<T>
      seen = value
    } catch (error) {
      seen = error
    }
    if (systemClock.monotonicMs() - startMs > withinMs) {
      throw new Error(`waited ${withinMs} ms for: ${what}\nlast seen: ${inspect(seen, { depth: 4 })}`)
    }
    await systemClock.sleep(stepMs)
  }
}
